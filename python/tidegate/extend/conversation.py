"""WebSocket over the bytes of a job (RFC 6455): frames and the closing handshake are the part of `websockets`.

Reading follows whoever receives, so that a client is held back while nobody does; what has come by the time of a send
is looked at as well, so that a handler that only sends still answers pings and hears of the end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from typing import TYPE_CHECKING

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from tidegate.errors import ClientGone

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.asgi.http import Exchange

MAX_MESSAGE = 16 << 20
"""Longest message that is taken (close code 1009)."""
AHEAD = 16
"""Messages that are read ahead, at a send."""
CLOSE_SECONDS = 5.0
"""How long the other side has to answer a close."""


def handshake_refused(job: Job) -> bool:
    """Answers a request whose handshake cannot be taken (RFC 6455 section 4.2.1)."""
    if job.header("sec-websocket-version") != "13":
        job.answer(426, None, [("sec-websocket-version", "13")], b"")
        return True
    if job.version == "2":
        return False
    try:
        key = base64.b64decode(job.header("sec-websocket-key") or "", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        job.answer(400, None, None, b"")
        return True
    return False


def subprotocols(job: Job) -> list[str]:
    """What the client offers, in its order."""
    offered = (value for name, value in job.headers() if name == "sec-websocket-protocol")
    return [word for value in offered for part in value.split(",") if (word := part.strip())]


class Conversation:
    """One WebSocket, after its handshake."""

    def __init__(self, exchange: Exchange, job: Job) -> None:
        self._exchange = exchange
        self._job = job
        self._protocol = Protocol(SERVER, state=OPEN, max_size=MAX_MESSAGE)
        self._messages: deque[str | bytes] = deque()
        self._parts: list[bytes] = []
        self._is_text = False
        self.over = False
        """Nothing more comes, and nothing more can be sent."""

    @property
    def code(self) -> int:
        """Why it is over: the code that came, else the one that was sent, else 1006."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return int(close.code) if close is not None else int(CloseCode.ABNORMAL_CLOSURE)

    @property
    def reason(self) -> str:
        """What was said about it."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return close.reason if close is not None else ""

    async def receive(self) -> str | bytes | None:
        """The next message; `None` once it is over."""
        while not self._messages:
            if self.over:
                return None
            await self._take(await self._exchange.piece())
        return self._messages.popleft()

    async def send(self, message: str | bytes) -> bool:
        """Sends a message; false when it is over."""
        await self._look()
        if self.over or self._protocol.state is not OPEN:
            return False
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        await self._flush()
        return not self.over

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes, and waits until the other side has, for a little."""
        await self.begin_to_close(code, reason)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while not self.over:
                    await self._take(await self._exchange.piece())
        except TimeoutError:
            pass
        self._end()

    async def begin_to_close(self, code: int, reason: str = "") -> None:
        """Says that it is to be over; whoever receives hears the answer."""
        if not self.over and self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            await self._flush()

    async def _look(self) -> None:
        """Takes what is there already."""
        while not self.over and len(self._messages) < AHEAD:
            try:
                piece = self._job.read()
            except ClientGone:
                self.over = True
                return
            if piece is None:
                return
            await self._take(piece)

    async def _take(self, piece: bytes | None) -> None:
        if not piece:
            self._protocol.receive_eof()
            await self._flush()
            self._end()
            return
        self._protocol.receive_data(piece)
        for frame in self._protocol.events_received():
            self._frame(frame)
        await self._flush()

    def _frame(self, frame: object) -> None:
        if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        whole = b"".join(self._parts)
        self._parts.clear()
        if not self._is_text:
            self._messages.append(whole)
            return
        try:
            self._messages.append(whole.decode())
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA, "a text message is not UTF-8")

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self.over:
                return
            if not data:
                self._end()
            elif not await self._exchange.push(data):
                self.over = True

    def _end(self) -> None:
        if not self.over:
            self.over = True
            self._job.end()
