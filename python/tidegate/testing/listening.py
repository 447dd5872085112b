"""A service that is not real, as far as it listens and remembers: a thread for every connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.testing.connection import Connection
from tidegate.testing.message import Recorded
from tidegate.testing.waiting import DEADLINE


@dataclass
class _Seen:
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    closed: int = 0


class Listening(ABC):
    """Listens on a port of the system's choice, or on a UNIX socket, and remembers what it was sent."""

    continues = False
    """Says `100 Continue` to who expects it."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> None:
        self._tls = tls
        self._state = _Seen()
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

    @abstractmethod
    def converse(self, connection: Connection) -> None:
        """What happens on one connection, which is closed afterwards."""

    # ---- where it is

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

    # ---- what it saw

    @property
    def requests(self) -> list[Recorded]:
        """Every request that was read whole, oldest first."""
        with self._changed:
            return list(self._state.requests)

    @property
    def last(self) -> Recorded:
        """The latest request."""
        requests = self.requests
        assert requests, "no request has come"
        return requests[-1]

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
        """Waits until that many requests have come; returns all there are."""
        return self._wait(lambda: len(self._state.requests) >= count, f"{count} requests")

    def wait_for_connections(self, count: int = 1) -> None:
        """Waits until that many connections have been accepted."""
        self._wait(lambda: self._state.connections >= count, f"{count} connections")

    def wait_for_closed(self, count: int = 1) -> None:
        """Waits until that many connections have ended, as this side sees it."""
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
            self.converse(Connection(channel, self))
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
        _shut(self._listener)
        self._listener.close()
        self._accepting.join(DEADLINE)
        for channel in still_open:
            _shut(channel)
        for thread in self._threads:
            thread.join(DEADLINE)


def _shut(channel: socket.socket) -> None:
    """Wakes whoever reads from it."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        channel.shutdown(socket.SHUT_RDWR)
