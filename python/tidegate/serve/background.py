"""Slow work beside the traffic: fetching keys, settling counters, rotating.

One thread with one event loop for all of it, apart from the app loop: a handler of the user's that spins must not keep
keys from being refreshed, and slow work must not keep a handler from its turn. Never user code here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tidegate.extend.loop_thread import LoopThread

T = TypeVar("T")

LOG = logging.getLogger("tidegate.background")

NICE = 5
"""Lowers its priority: what is slow may take a little longer when the workers are busy."""


class Background:
    """A loop for slow work; its thread begins with the first of it. Callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, for what has a descriptor to watch; begins the thread. Raises `RuntimeError` once stopped."""
        with self._lock:
            if self._stopped:
                raise RuntimeError("the background loop has stopped")
            if self._thread is None:
                self._thread = LoopThread("tidegate-background", nice=NICE)
            return self._thread.loop

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begins a task that runs until it is over or the server stops; one that fails says so in the log.

        `name` is what the log calls it. After `stop` the work is not begun.
        """
        try:
            self.loop.call_soon_threadsafe(self._begin, work, name)
        except RuntimeError:  # stopped, before or meanwhile
            work.close()

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread and returns its result; not from that thread itself."""

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result()

    def stop(self) -> None:
        """Cancels what runs and ends the thread; may be called again."""
        with self._lock:
            self._stopped = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)  # the loop alone would let a task be collected in the middle of its work
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("background work failed work=%s", task.get_name(), exc_info=error)
