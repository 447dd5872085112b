"""One request of an ASGI application, and its answer.

The head is held back until the first of the body is there: an application that fails before it still gets a 500, and
an answer that comes whole crosses to the engine in one call.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from tidegate.errors import ClientGone
from tidegate.extend.asgi.messages import ClientLeftError, Message, content, is_for_nobody, unexpected
from tidegate.extend.calls import call_of

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.asgi.apps import Mounted

LOG = logging.getLogger("tidegate.apps")

NOTHING, HEAD, BODY, OVER = range(4)
"""What there is of an answer."""


class Exchange:
    """What the server and an application share of one request, whatever its protocol."""

    __slots__ = ("_changed", "_gone", "_job", "_of", "task")

    def __init__(self, job: Job, mounted: Mounted | None) -> None:
        self._job = job
        self._of = mounted
        self._gone = False
        self._changed: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None

    def happened(self, gone: bool) -> None:
        """Something came for whoever waits; `gone`: nobody wants the answer any more."""
        self._gone |= gone
        if self._changed is not None:
            self._changed.set()

    async def _change(self) -> None:
        """Waits until something has happened. Several may wait at once."""
        if self._changed is None:
            self._changed = asyncio.Event()
        self._changed.clear()
        await self._changed.wait()

    async def piece(self) -> bytes | None:
        """The next of the body, empty at its end; `None` once the client has left."""
        try:
            while not self._gone:
                if (piece := self._job.read()) is not None:
                    return piece
                await self._change()
        except ClientGone:
            self._gone = True
        return None

    async def push(self, body: bytes) -> bool:
        """Sends, and waits while the client takes no more; false once it has left."""
        try:
            if self._job.send(body):
                return True
        except ClientGone:
            self._gone = True
            return False
        await self._change()
        return not self._gone

    async def run(self) -> None:
        """Runs the user's code, to its end."""
        raise NotImplementedError

    async def go_away(self) -> None:
        """The gateway is about to end; what would go on for ever hears of it."""

    def _failed(self, error: BaseException) -> None:
        """Answers 500, or cuts off what has begun; the traceback goes into the log, never into the answer."""
        if self._gone and is_for_nobody(error):
            return
        job, name = self._job, self._name
        if (call := call_of(error)) is not None:
            job.fail_as(call.code, f"app {name}: {call}")
            return
        self._log(error)
        job.fail(f"app {name} raised {type(error).__name__}")

    @property
    def _name(self) -> str:
        return "" if self._of is None else self._of.name

    @property
    def _mounted(self) -> Mounted:
        assert self._of is not None, "requests of applications have one"
        return self._of

    def _log(self, error: BaseException) -> None:
        if self._gone and is_for_nobody(error):
            return
        LOG.error(
            "app failed app=%s request_id=%s method=%s path=%s",
            self._name,
            self._job.request_id,
            self._job.method,
            self._job.path,
            exc_info=error,
        )


class HttpExchange(Exchange):
    """A request by HTTP."""

    __slots__ = ("_bodiless", "_fields", "_left", "_read", "_stage", "_status")

    def __init__(self, job: Job, mounted: Mounted) -> None:
        super().__init__(job, mounted)
        self._read = False
        self._stage = NOTHING
        self._status: Any = 0
        self._fields: Any = ()
        self._left: int | None = None
        """What is owed of the body's announced length."""
        self._bodiless = False

    async def run(self) -> None:
        """Runs the application, to its end."""
        mounted = self._mounted
        try:
            scope = self._job.scope(mounted.http)
            if mounted.state is not None:
                scope["state"] = mounted.state.copy()
            await mounted.application(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._job.fail(f"app {mounted.name} was cancelled")
        except BaseException as error:
            self._failed(error)
        else:
            if self._stage is not OVER and not self._gone:
                told = "before its answer had begun" if self._stage is NOTHING else "before its answer was complete"
                self._failed(RuntimeError(f"the application returned {told}"))

    async def receive(self) -> Message:
        """The next of the request's body; at its end, that the client has left, once it has."""
        job = self._job
        if not self._read and self._stage is not OVER and not self._gone:
            body = job.take_body()
            if body is not None:
                self._read = True
                return {"type": "http.request", "body": body, "more_body": False}
            piece = await self.piece()
            if piece is not None:
                self._read = not piece
                return {"type": "http.request", "body": piece, "more_body": not self._read}
        while not self._gone and self._stage is not OVER:
            await self._change()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes the head, or a piece of the body."""
        if self._gone:
            raise ClientLeftError
        kind = message["type"]
        if self._stage is NOTHING:
            if kind != "http.response.start":
                raise unexpected(kind, "the answer begins with `http.response.start`")
            self._status, self._fields, self._stage = message["status"], message.get("headers", ()), HEAD
            return
        if self._stage is OVER:
            raise unexpected(kind, "the answer is complete")
        if kind != "http.response.body":
            raise unexpected(kind, "the answer has begun")
        body, more = content(message.get("body", b"")), message.get("more_body", False)
        if self._stage is HEAD and not more:
            self._whole(body)
            return
        if self._stage is HEAD:
            self._begin()
        await self._part(body, more)

    def _whole(self, body: bytes) -> None:
        self._job.answer_bytes(self._status, self._fields, body)
        self._over()

    def _begin(self) -> None:
        self._left = self._job.start_bytes(self._status, self._fields)
        self._stage = BODY
        self._bodiless = self._status in (204, 304) or self._job.method == "HEAD"
        if self._bodiless:
            self._job.end()

    async def _part(self, body: bytes, more: bool) -> None:
        if not self._bodiless:
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0 or (self._left > 0 and not more):
                    raise RuntimeError("the body is not as long as its `content-length` says")
            if body and not await self.push(body):
                raise ClientLeftError
            if not more:
                self._job.end()
        if not more:
            self._over()

    def _over(self) -> None:
        self._stage = OVER
        self.happened(gone=False)
