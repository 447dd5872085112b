"""A connection to a service that is not real: requests are read from it, and answers or nonsense sent."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from tidegate.testing.message import Recorded
from tidegate.testing.raw import Raw
from tidegate.testing.waiting import DEADLINE

if TYPE_CHECKING:
    from tidegate.testing.listening import Listening


class Connection(Raw):
    """A connection from a gateway."""

    def __init__(self, accepted: socket.socket, upstream: Listening) -> None:
        """`upstream` is told of every request that was read whole."""
        super().__init__(accepted)
        self.upstream = upstream

    def request(self) -> Recorded | None:
        """Reads the next request whole and records it; `None` once the gateway has closed."""
        head = self.request_head()
        if head is None:
            return None
        if self.upstream.continues and (head.header("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._read_body(head)
        self.upstream.record(head)
        return head

    def request_head(self) -> Recorded | None:
        """Reads only the head of the next request, and does not record it."""
        self.until = time.monotonic() + DEADLINE
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        raw = self.read_until(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [line.partition(":") for line in lines if line]
        fields = [(name.lower(), value.strip()) for name, _, value in pairs]
        return Recorded(raw, method, target, fields, b"")

    def _read_body(self, head: Recorded) -> None:
        if head.header("transfer-encoding") is not None:
            body = b""
            while True:
                line = self.read_until(b"\r\n")
                head.raw += line
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    break
                piece = self.read_exactly(size + 2)
                head.raw += piece
                body += piece[:-2]
            while (line := self.read_until(b"\r\n")) != b"\r\n":
                head.raw += line
            head.raw += line
            head.body = body
        elif (length := head.header("content-length")) is not None:
            head.body = self.read_exactly(int(length))
            head.raw += head.body

    def drip(self, data: bytes, size: int = 1) -> None:
        """Sends in writes of a few bytes, each on its way before the next."""
        for start in range(0, len(data), size):
            self.send(data[start : start + size])

    def hang(self) -> None:
        """Says nothing more, until the gateway closes or the service stops."""
        while self._more():
            pass
