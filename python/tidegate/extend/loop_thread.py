"""An event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from tidegate.extend.eager import new_loop

T = TypeVar("T")


class LoopThread:
    """Runs an event loop (uvloop where it is installed) until it is stopped."""

    def __init__(self, name: str, *, nice: int = 0) -> None:
        """`nice` lowers the priority of the thread, so that busy Python gives way to the workers."""
        self._nice = nice
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._nice:
            _lower_priority(self._nice)
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread and returns its result."""

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result()

    def stop(self, patience: float = 2.0) -> None:
        """Cancels what runs and ends the thread; one that does not let go within `patience` seconds is left behind."""
        if self._thread.is_alive() and not self.loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._wind_up(), self.loop)
            self._thread.join(patience)

    async def _wind_up(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self.loop.stop()


def _lower_priority(nice: int) -> None:
    """Linux keeps a priority for each thread; elsewhere this would slow the whole process, so it is left alone."""
    if hasattr(os, "sched_getaffinity"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
