"""Tasks that take their first step at once, so that most are over before the event loop hears of them.

Python 3.12 can do that (`eager_start`). For 3.11 the loop is one of ours: it hands the first step of a new task over
instead of queueing it. On a loop of somebody else's a task starts when the loop comes to it, as always.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


def _loop_class() -> type[asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return type(asyncio.new_event_loop())
    return uvloop.Loop


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop (uvloop's where it is installed) on which tasks can start at once."""
    return _EagerLoop() if sys.version_info < (3, 12) else _loop_class()()


if sys.version_info >= (3, 12):

    def start_at_once(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop | None) -> asyncio.Task[None]:
        """Makes a task and takes its first step. Called on the loop's thread, outside of any task."""
        return asyncio.Task(work, loop=loop, eager_start=True)

else:

    class _EagerLoop(_loop_class()):  # type: ignore[misc]
        """A loop that can hand over the first step of a task."""

        _first_step: tuple[Callable[..., object], Context | None] | None = None
        _handing_over = False

        def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
            if self._handing_over:
                self._handing_over = False
                self._first_step = callback, context
                return None
            return super().call_soon(callback, *args, context=context)

    def start_at_once(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop | None) -> asyncio.Task[None]:
        """Makes a task and takes its first step. Called on the loop's thread, outside of any task."""
        if not isinstance(loop, _EagerLoop):
            return asyncio.Task(work, loop=loop)
        loop._handing_over = True
        task = asyncio.Task(work, loop=loop)
        step, loop._first_step = loop._first_step, None
        if step is not None:
            callback, context = step
            if context is None:
                callback()
            else:
                context.run(callback)
        return task
