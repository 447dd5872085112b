"""How a function is called: by what it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any


class Kind(Enum):
    """How a function is called."""

    COROUTINE = "coroutine"
    """`async def`: on the app loop."""
    STREAM = "stream"
    """`async def` with `yield`: on the app loop, a piece at a time."""
    APP = "app"
    """An ASGI application: on the app loop, by rules of its own."""
    WEBSOCKET = "websocket"
    """`async def` that takes a `WebSocket`: on the app loop, as long as that is open."""
    BLOCKING = "blocking"
    """`def`: on a thread, as it may block."""


def kind_of(function: Callable[..., Any]) -> Kind:
    """How a function is to be called; an object counts by its `__call__`."""
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    if not inspect.isroutine(bare):
        bare = type(bare).__call__
    if inspect.isasyncgenfunction(bare):
        return Kind.STREAM
    return Kind.COROUTINE if inspect.iscoroutinefunction(bare) else Kind.BLOCKING
