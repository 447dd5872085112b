"""The start and the end of an application (https://asgi.readthedocs.io/en/latest/specs/lifespan.html)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tidegate.extend.asgi.messages import LIFESPAN, Application, Message, unexpected

LOG = logging.getLogger("tidegate.apps")

START_SECONDS = 60.0
"""Longest start of an application."""
END_SECONDS = 10.0
"""Longest end of one; then it is cancelled."""


class Lifespan:
    """One life of an application. Everything here runs on its loop."""

    def __init__(self, name: str, application: Application) -> None:
        self._name = name
        self._application = application
        self.state: dict[str, Any] = {}
        """What the application keeps for its requests."""
        self._answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """The answer to what it was asked last: nothing, or why it failed."""
        self._asked = False
        self._ends = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.supported = False
        """It has said that it has begun. One that does not know the protocol has no state, and is told of no end."""

    async def start(self) -> str | None:
        """Starts; returns why it could not."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            failure = await asyncio.wait_for(asyncio.shield(self._answer), START_SECONDS)
        except TimeoutError:
            failure = f"it did not start within {START_SECONDS:.0f}s"
        if failure is not None:
            await self._cancel()
        return failure

    async def end(self) -> None:
        """Tells it to end, and waits until it has."""
        if not self.supported or self._task is None or self._task.done():
            await self._cancel()
            return
        self._answer = asyncio.get_running_loop().create_future()
        self._ends.set()
        done, _ = await asyncio.wait([self._task], timeout=END_SECONDS)
        if not done:
            LOG.warning("app did not end app=%s after_ms=%d", self._name, END_SECONDS * 1000)
        elif self._answer.done() and (failure := self._answer.result()) is not None:
            LOG.error("app failed at its end app=%s reason=%s", self._name, failure)
        await self._cancel()

    async def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)

    async def _run(self) -> None:
        scope = {**LIFESPAN, "state": self.state}
        reason: str | None = None
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            reason = "it was cancelled"
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            if self.supported:
                LOG.error("app failed in its lifespan app=%s", self._name, exc_info=error)
            elif not self._answer.done():
                # Before it has said a word: most often it only knows HTTP, and says so by an exception.
                LOG.info("app has no lifespan app=%s reason=%s", self._name, reason)
                reason = None
        self._say(reason)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._ends.wait()
        if self._answer.done():
            await asyncio.get_running_loop().create_future()  # nothing comes after the end
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._answer.done():
            raise unexpected(kind, "nothing was asked")
        if kind == ("lifespan.shutdown.complete" if self._ends.is_set() else "lifespan.startup.complete"):
            self.supported = True
            self._say(None)
        elif kind == ("lifespan.shutdown.failed" if self._ends.is_set() else "lifespan.startup.failed"):
            self._say(_brief(str(message.get("message") or "it gave no reason")))
        else:
            raise unexpected(kind, "the answer is `complete` or `failed`")

    def _say(self, failure: str | None) -> None:
        if not self._answer.done():
            self._answer.set_result(failure)


def _brief(message: str) -> str:
    """The last line of a traceback, which says what happened."""
    lines = [line for line in message.splitlines() if line.strip()]
    if len(lines) > 1:
        LOG.error("app said\n%s", message)
    return lines[-1].strip() if lines else message
