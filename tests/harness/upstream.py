"""A service that does what a test tells it to, well-behaved or not, and remembers every byte it was sent."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from tidegate.testing.connection import Connection
from tidegate.testing.listening import Listening
from tidegate.testing.message import Recorded

from tests.harness.poll import DEADLINE

__all__ = ["OK", "Connection", "FakeUpstream", "Recorded", "Script"]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Script = Callable[[Connection], None]
"""What happens on one connection; it is closed when the script returns."""


class FakeUpstream(Listening):
    """Every connection has a thread that plays the script.

    Without a script every request is answered by the next of `answers`, the last of which is said again and again.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> None:
        self.answers: list[bytes] = [OK]
        self.play: Script = self._answer_all
        super().__init__(tls=tls, unix=unix)

    def answer(self, *answers: bytes | str) -> FakeUpstream:
        """Sets the whole answers, head and body, that are given one after another; text as Latin-1."""
        self.answers = [answer.encode("latin-1") if isinstance(answer, str) else answer for answer in answers]
        return self

    def script(self, play: Script) -> FakeUpstream:
        """Sets what happens on every new connection."""
        self.play = play
        return self

    def converse(self, connection: Connection) -> None:
        """Plays the script."""
        self.play(connection)

    def _answer_all(self, connection: Connection) -> None:
        while connection.request() is not None:
            with self._changed:
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            connection.send(answer)
            if b"connection: close" in answer.lower():
                return


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
