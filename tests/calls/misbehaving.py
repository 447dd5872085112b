"""Services that misbehave a number of times and then answer, and what they counted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.harness import Connection, FakeUpstream, Script
from tests.harness.upstream import OK, close_at_once, half_answer, hang_before_head, reset_before_answer

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


def says(answer: bytes) -> Script:
    """Reads a request, gives this answer and closes, as it says: so each attempt has a connection of its own."""

    def play(connection: Connection) -> None:
        connection.request()
        connection.send(answer.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))

    return play


def close_after_request(connection: Connection) -> None:
    """Reads a request and closes without a word."""
    connection.request()


def half_head(connection: Connection) -> None:
    """Closes in the middle of a head."""
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-le")


wrong_framing = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")
no_http = says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
unavailable = says(UNAVAILABLE)
failing = says(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
fine = says(OK)

__all__ = [
    "close_after_request",
    "close_at_once",
    "failing",
    "fine",
    "half_answer",
    "half_head",
    "hang_before_head",
    "no_http",
    "reset_before_answer",
    "says",
    "unavailable",
    "wrong_framing",
]


class Turns:
    """Plays one script after another, by connection; the last goes on for ever."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._lock = threading.Lock()
        self.played = 0

    def __call__(self, connection: Connection) -> None:
        with self._lock:
            self.played += 1
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        script(connection)


def first_then(upstream: Callable[..., FakeUpstream], *scripts: Script) -> tuple[FakeUpstream, Turns]:
    """A service that plays these, and how many it has begun."""
    turns = Turns(*scripts)
    return upstream().script(turns), turns
