"""A service that does what a test tells it to, well-behaved or not, and remembers every byte it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.poll import DEADLINE
from tests.harness.raw import Raw

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Recorded:
    """A request as it came."""

    raw: bytes
    """Head and body with their framing."""
    method: str
    target: str
    fields: list[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes
    """Without framing."""

    def header(self, name: str) -> str | None:
        """The only value of a header; `None` when there is none."""
        values = [value for known, value in self.fields if known == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Connection(Raw):
    """A connection from the gateway, for a script to play with."""

    def __init__(self, accepted: socket.socket, upstream: FakeUpstream) -> None:
        super().__init__(accepted)
        self.upstream = upstream

    def request(self) -> Recorded | None:
        """Reads the next request whole and records it; `None` once the gateway has closed."""
        head = self.request_head()
        if head is None:
            return None
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
        """Says nothing more, until the gateway closes or the upstream stops."""
        while self._more():
            pass


Script = Callable[[Connection], None]
"""What happens on one connection; it is closed when the script returns."""


@dataclass
class _Playing:
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    closed: int = 0


class FakeUpstream:
    """Listens on a port of the system's choice; every connection has a thread that plays the script.

    Without a script every request is answered by the next of `answers`, the last of which is said again and again.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> None:
        self.answers: list[bytes] = [OK]
        self.play: Script = self._answer_all
        self._tls = tls
        self._state = _Playing()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        if unix is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(unix))
            self._listener.listen(512)
        self.unix = unix
        self._stopping = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    # ---- what it does

    def answer(self, *answers: bytes | str) -> FakeUpstream:
        """Sets the whole answers, head and body, that are given one after another; text as Latin-1."""
        self.answers = [answer.encode("latin-1") if isinstance(answer, str) else answer for answer in answers]
        return self

    def script(self, play: Script) -> FakeUpstream:
        """Sets what happens on every new connection."""
        self.play = play
        return self

    def _answer_all(self, connection: Connection) -> None:
        while connection.request() is not None:
            with self._changed:
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            connection.send(answer)
            if b"connection: close" in answer.lower():
                return

    # ---- what it saw

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        """For the `url` of a service."""
        if self.unix is not None:
            return f"unix:{self.unix}"
        host, port = self.address
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    @property
    def requests(self) -> list[Recorded]:
        """Every request that was read whole, oldest first."""
        with self._changed:
            return list(self._state.requests)

    @property
    def last(self) -> Recorded:
        """The latest request."""
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """Connections that were accepted."""
        with self._changed:
            return self._state.connections

    def record(self, request: Recorded) -> None:
        """Remembers a request."""
        with self._changed:
            self._state.requests.append(request)
            self._changed.notify_all()

    def wait_for_requests(self, count: int = 1) -> list[Recorded]:
        """Waits until that many requests have come."""
        return self._wait(lambda: len(self._state.requests) >= count, f"{count} requests")

    def wait_for_connections(self, count: int = 1) -> None:
        """Waits until that many connections have been accepted."""
        self._wait(lambda: self._state.connections >= count, f"{count} connections")

    def wait_for_closed(self, count: int = 1) -> None:
        """Waits until that many connections have ended, as their scripts see it."""
        self._wait(lambda: self._state.closed >= count, f"{count} closed connections")

    def _wait(self, condition: Callable[[], bool], what: str) -> list[Recorded]:
        with self._changed:
            if not self._changed.wait_for(condition, DEADLINE):
                raise AssertionError(f"{what} did not come; there were {self._state}")
            return list(self._state.requests)

    # ---- life

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                if self._stopping:
                    accepted.close()
                    return
                self._open.add(accepted)
                thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        channel = accepted
        try:
            if self._tls is not None:
                channel = self._tls.wrap_socket(accepted, server_side=True)
                with self._changed:
                    self._open.discard(accepted)
                    self._open.add(channel)
            with self._changed:
                self._state.connections += 1
                self._changed.notify_all()
            self.play(Connection(channel, self))
        except (OSError, AssertionError):
            pass  # the gateway went away, or the test is over
        finally:
            channel.close()
            with self._changed:
                self._open.discard(channel)
                self._state.closed += 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Refuses new connections and ends those that are open."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            still_open = list(self._open)
        shut(self._listener)
        self._listener.close()
        self._accepting.join(DEADLINE)
        for channel in still_open:
            shut(channel)
        for thread in self._threads:
            thread.join(DEADLINE)


def shut(channel: socket.socket) -> None:
    """Wakes whoever reads from it."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        channel.shutdown(socket.SHUT_RDWR)


def hang_before_head(connection: Connection) -> None:
    """Reads a request and never answers."""
    connection.request()
    connection.hang()


def answer_when(told: threading.Event, body: bytes) -> Script:
    """Reads a request and answers once the test says so."""

    def play(connection: Connection) -> None:
        connection.request()
        assert told.wait(DEADLINE)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    return play


def hang_after_head(connection: Connection) -> None:
    """Promises ten bytes of body and sends none."""
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
    connection.hang()


def half_answer(connection: Connection) -> None:
    """Closes in the middle of a body."""
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")


def reset_before_answer(connection: Connection) -> None:
    """Reads a request and resets the connection."""
    connection.request()
    connection.reset()


def reset_mid_answer(connection: Connection) -> None:
    """Resets the connection in the middle of a body."""
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    connection.reset()


def close_at_once(connection: Connection) -> None:
    """Closes without reading."""
