"""One WebSocket of an ASGI application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tidegate.extend.asgi.http import Exchange
from tidegate.extend.asgi.messages import ClientLeftError, Message, content, unexpected
from tidegate.extend.conversation import Conversation, handshake_refused, subprotocols

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.asgi.apps import Mounted

CONNECTING, DENYING, OPEN, OVER = range(4)


class WebSocketExchange(Exchange):
    """A request that asks for a WebSocket."""

    __slots__ = ("_asked", "_conversation", "_denial", "_stage")

    def __init__(self, job: Job, mounted: Mounted) -> None:
        super().__init__(job, mounted)
        self._stage = CONNECTING
        self._asked = False
        self._conversation: Conversation | None = None
        self._denial: tuple[Any, Any, list[bytes]] = (403, (), [])

    async def run(self) -> None:
        """Runs the application, to its end."""
        mounted, job = self._mounted, self._job
        if handshake_refused(job):
            return
        try:
            scope = job.scope(mounted.websocket)
            scope["subprotocols"] = subprotocols(job)
            if mounted.state is not None:
                scope["state"] = mounted.state.copy()
            await mounted.application(scope, self.receive, self.send)
        except asyncio.CancelledError:
            job.fail(f"app {mounted.name} was cancelled")
        except BaseException as error:
            await self._ended_by(error)
        else:
            if self._conversation is not None:
                await self._conversation.close()
            elif self._stage is not OVER and not self._gone:
                self._failed(RuntimeError("the application returned before it had accepted or closed"))

    async def _ended_by(self, error: BaseException) -> None:
        if self._conversation is None:
            self._failed(error)
            return
        self._log(error)
        await self._conversation.close(1011)

    async def go_away(self) -> None:
        """The gateway is about to end."""
        if self._conversation is not None:
            await self._conversation.begin_to_close(1001, "going away")

    async def receive(self) -> Message:
        """The request to connect, then what the client sends, then its end."""
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        while self._stage in (CONNECTING, DENYING) and not self._gone:
            await self._change()
        conversation = self._conversation
        if conversation is None:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        message = await conversation.receive()
        if message is None:
            self._stage = OVER
            return {"type": "websocket.disconnect", "code": conversation.code, "reason": conversation.reason}
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def send(self, message: Message) -> None:
        """Accepts, sends or closes; or answers with something else than a WebSocket."""
        kind = message["type"]
        if self._stage is CONNECTING:
            await self._answer(kind, message)
        elif self._stage is DENYING and kind == "websocket.http.response.body":
            status, headers, parts = self._denial
            parts.append(content(message.get("body", b"")))
            if not message.get("more_body", False):
                self._deny(status, headers, b"".join(parts))
        elif self._stage is OPEN and self._conversation is not None and kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            if not await self._conversation.send(content(data) if text is None else text):
                raise ClientLeftError
        elif self._stage is OPEN and self._conversation is not None and kind == "websocket.close":
            self._stage = OVER
            await self._conversation.close(message.get("code") or 1000, message.get("reason") or "")
        elif self._gone or self._conversation is not None:
            raise ClientLeftError
        else:
            raise unexpected(kind, "the handshake is over")

    async def _answer(self, kind: str, message: Message) -> None:
        if self._gone:
            raise ClientLeftError
        if kind == "websocket.accept":
            headers = [tuple(field) for field in message.get("headers") or ()]
            if (subprotocol := message.get("subprotocol")) is not None:
                headers.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
            if not self._job.switch(headers):
                raise ClientLeftError
            self._conversation = Conversation(self, self._job)
            self._stage = OPEN
            self.happened(gone=False)
        elif kind == "websocket.close":
            self._deny(403, (), b"")
        elif kind == "websocket.http.response.start":
            self._denial = (message["status"], message.get("headers", ()), [])
            self._stage = DENYING
        else:
            raise unexpected(kind, "the answer to `websocket.connect` is to accept or to close")

    def _deny(self, status: Any, headers: Any, body: bytes) -> None:
        self._job.answer_bytes(status, headers, body)
        self._stage = OVER
        self.happened(gone=False)
