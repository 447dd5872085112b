"""WebSockets of handlers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from tidegate.errors import WebSocketClosed
from tidegate.extend.asgi.http import Exchange
from tidegate.extend.conversation import Conversation, handshake_refused, subprotocols
from tidegate.extend.request import Request

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.handlers import Handler

LOG = logging.getLogger("tidegate.handlers")


class WebSocket:
    """A WebSocket, given to a handler whose parameter is annotated so.

    ```python
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket:
            await socket.send_text(f"you said {message!r}")
    ```

    A handler that returns without accepting refuses with 403. One that returns later closes with code 1000.
    """

    def __init__(self, exchange: SocketExchange, request: Request) -> None:
        self._exchange = exchange
        self._conversation: Conversation | None = None
        self.request = request
        """The request that asked for it: headers, query, parameters of the path, calls to services."""
        self.closed = False
        """It was closed, or refused, by this side."""

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers, in its order."""
        return subprotocols(self._exchange.job)

    async def accept(
        self, subprotocol: str | None = None, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> None:
        """Takes the WebSocket."""
        if self._conversation is not None or self.closed:
            raise RuntimeError("the handshake is over")
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        if subprotocol is not None:
            fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        if not self._exchange.job.switch(fields):
            raise WebSocketClosed(1006)
        self._conversation = Conversation(self._exchange, self._exchange.job)

    async def receive(self) -> str | bytes:
        """The next message: text or bytes. Raises `WebSocketClosed` once there is none."""
        conversation = self._open()
        message = await conversation.receive()
        if message is None:
            raise WebSocketClosed(conversation.code, conversation.reason)
        return message

    async def receive_text(self) -> str:
        """The next message, which must be text."""
        message = await self.receive()
        if not isinstance(message, str):
            raise TypeError("the message is bytes, not text")
        return message

    async def receive_bytes(self) -> bytes:
        """The next message, which must be bytes."""
        message = await self.receive()
        if not isinstance(message, bytes):
            raise TypeError("the message is text, not bytes")
        return message

    async def receive_json(self) -> Any:
        """The next message as JSON; `ValueError` when it is none."""
        return from_json(await self.receive())

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every message, until it is closed."""
        try:
            while True:
                yield await self.receive()
        except WebSocketClosed:
            return

    async def send_text(self, text: str) -> None:
        """Sends text; waits while the client takes no more. Raises `WebSocketClosed`."""
        await self._send(text)

    async def send_bytes(self, data: bytes) -> None:
        """Sends bytes; waits while the client takes no more. Raises `WebSocketClosed`."""
        await self._send(data)

    async def send_json(self, data: Any) -> None:
        """Sends data as JSON text."""
        await self._send(to_json(data).decode())

    async def _send(self, message: str | bytes) -> None:
        conversation = self._open()
        if not await conversation.send(message):
            raise WebSocketClosed(conversation.code, conversation.reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes; before it was accepted, refuses with 403."""
        if self.closed:
            return
        self.closed = True
        if self._conversation is None:
            self._exchange.job.answer(403, None, None, b"")
        else:
            await self._conversation.close(code, reason)

    async def go_away(self) -> None:
        """Says that the gateway is about to end; the handler hears of it as of any end."""
        if self._conversation is not None:
            await self._conversation.begin_to_close(1001, "going away")

    @property
    def accepted(self) -> bool:
        """The handshake is over."""
        return self._conversation is not None

    def _open(self) -> Conversation:
        if self._conversation is None:
            raise RuntimeError("`await socket.accept()` comes first")
        return self._conversation


class SocketExchange(Exchange):
    """A request that a handler of WebSockets answers."""

    __slots__ = ("_handler", "_socket", "job")

    def __init__(self, job: Job, handler: Handler, request: Request) -> None:
        super().__init__(job, None)
        self.job = job
        self._handler = handler
        self._socket = WebSocket(self, request)

    async def run(self) -> None:
        """Runs the handler, to its end."""
        job, socket = self.job, self._socket
        if not job.websocket:
            job.answer(426, None, None, b"")
            return
        if handshake_refused(job):
            return
        try:
            await self._handler.function(socket)
        except asyncio.CancelledError:
            job.fail(f"handler {self._handler.name} was cancelled")
        except WebSocketClosed:
            await socket.close()
        except BaseException as error:
            LOG.error(
                "handler failed handler=%s request_id=%s method=%s path=%s",
                self._handler.name,
                job.request_id,
                job.method,
                job.path,
                exc_info=error,
            )
            if socket.accepted:
                await socket.close(1011)
            else:
                job.fail(f"handler {self._handler.name} raised {type(error).__name__}")
        else:
            await socket.close()

    async def go_away(self) -> None:
        """The gateway is about to end."""
        await self._socket.go_away()


def takes_websocket(function: Callable[..., Any]) -> bool:
    """Whether the first parameter of a function is annotated as a WebSocket."""
    if not inspect.iscoroutinefunction(function):
        return False
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError):
        parameters = list(inspect.signature(function).parameters.values())
    return bool(parameters) and parameters[0].annotation in (WebSocket, "WebSocket", "tidegate.WebSocket")
