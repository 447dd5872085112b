"""Tells functions of the user's what becomes of circuit breakers.

The engine puts every change into a box; the background loop empties it. The functions run where handlers run, never on
a worker and never on the background loop: coroutines on the app loop, plain functions on a thread of their own, one
after another.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from tidegate.extend.events import BreakerEvent
from tidegate.extend.handlers import Handler
from tidegate.extend.kind import Kind

if TYPE_CHECKING:
    from tidegate.extend.runner import Runner
    from tidegate.serve.background import Background

LOG = logging.getLogger("tidegate.handlers")


class Engine(Protocol):
    """What is asked of the engine; see `_native.pyi`."""

    def breaker_news_descriptor(self) -> int: ...
    def breaker_news(self) -> list[tuple[int, str, str, str, str, int]]: ...


class BreakerEvents:
    """Carries changes from the engine to the functions that the document names."""

    def __init__(self, engine: Engine, background: Background, runner: Runner) -> None:
        self._engine = engine
        self._background = background
        self._runner = runner
        self._watching = False
        self._thread: ThreadPoolExecutor | None = None

    def follow(self) -> None:
        """Begins to carry; called once there is a function to be told."""
        if not self._watching:
            self._watching = True
            self._thread = ThreadPoolExecutor(1, "tidegate-breaker-events")
            self._background.loop.call_soon_threadsafe(self._watch)

    def stop(self) -> None:
        """Begins no more functions; what runs ends by itself."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _watch(self) -> None:
        asyncio.get_running_loop().add_reader(self._engine.breaker_news_descriptor(), self._tell)
        self._tell()

    def _tell(self) -> None:
        for number, breaker, before, state, reason, open_for_ms in self._engine.breaker_news():
            event = BreakerEvent(breaker, before, state, reason, open_for_ms / 1000)
            handler = self._runner.handlers.list[number]
            if handler.kind is Kind.BLOCKING and self._thread is not None:
                self._thread.submit(_call, handler, event)
            else:
                self._runner.begin(_await(handler, event))


def _call(handler: Handler, event: BreakerEvent) -> None:
    try:
        handler.function(event)
    except Exception as error:
        _failed(handler, event, error)


async def _await(handler: Handler, event: BreakerEvent) -> None:
    try:
        result: Any = handler.function(event)
        if handler.kind is Kind.STREAM:
            async for _ in result:
                pass
        else:
            await result
    except Exception as error:
        _failed(handler, event, error)


def _failed(handler: Handler, event: BreakerEvent, error: Exception) -> None:
    LOG.error(
        "breaker callback failed handler=%s breaker=%s state=%s",
        handler.name,
        event.breaker,
        event.state,
        exc_info=error,
    )
