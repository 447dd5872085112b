"""A connection on which a test sends and reads bytes by hand."""

from __future__ import annotations

import socket
import struct
import time
from types import TracebackType

from tidegate.testing.waiting import DEADLINE


class Raw:
    """A TCP connection with a deadline on everything."""

    def __init__(self, address: tuple[str, int] | socket.socket, deadline: float = DEADLINE) -> None:
        self.until = time.monotonic() + deadline
        self.socket = address if isinstance(address, socket.socket) else socket.create_connection(address, deadline)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _arm(self) -> None:
        self.socket.settimeout(max(self.until - time.monotonic(), 0.001))

    def send(self, *pieces: bytes | str) -> Raw:
        """Sends each piece in a write of its own; text as Latin-1."""
        for piece in pieces:
            self._arm()
            self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
        return self

    def _more(self) -> bool:
        self._arm()
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.buffer += piece
        return bool(piece)

    def read_all(self) -> bytes:
        """Everything until the other side closes."""
        while self._more():
            pass
        return self._take(len(self.buffer))

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`."""
        while mark not in self.buffer:
            if not self._more():
                raise AssertionError(f"closed before {mark!r}; read {self.buffer!r}")
        return self._take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, count: int) -> bytes:
        """That many bytes."""
        while len(self.buffer) < count:
            if not self._more():
                raise AssertionError(f"closed after {len(self.buffer)} of {count} bytes: {self.buffer[-200:]!r}")
        return self._take(count)

    def read_head(self) -> tuple[int, dict[str, str]]:
        """The status and the header fields (names in lower case, repeated ones joined) of an answer."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return int(lines[0].split(" ")[1]), headers

    def read_answer(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a whole answer; chunks are put together. `head`: it answers HEAD."""
        status, headers = self.read_head()
        if head or status in (204, 304) or status < 200:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, self.read_chunked()
        if "content-length" in headers:
            return status, headers, self.read_exactly(int(headers["content-length"]))
        return status, headers, self.read_all()

    def read_chunked(self) -> bytes:
        """A chunked body without its framing; trailers are read and dropped."""
        body = b""
        while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        while self.read_until(b"\r\n") != b"\r\n":
            pass
        return body

    def is_closed(self) -> bool:
        """Waits for the end of the connection; false when bytes come instead."""
        return not self.buffer and not self._more()

    def half_close(self) -> Raw:
        """Sends no more, but still reads."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Ends the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Closes."""
        self.socket.close()

    def _take(self, count: int) -> bytes:
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken
