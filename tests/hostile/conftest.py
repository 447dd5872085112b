"""A service that keeps every byte it is sent, and a client that sends what no library would."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import Connection, FakeUpstream, Raw, RunningGateway


class Witness:
    """Answers what it understands, and keeps every byte, understood or not."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream.script(self._play)
        self._lock = threading.Lock()
        self._raw = b""

    def _play(self, connection: Connection) -> None:
        more = connection._more

        def noted() -> bool:
            before = len(connection.buffer)
            alive = more()
            with self._lock:
                self._raw += connection.buffer[before:]
            return alive

        connection._more = noted  # type: ignore[method-assign]
        while connection.request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    @property
    def raw(self) -> bytes:
        """All bytes of all connections."""
        with self._lock:
            return self._raw

    @property
    def targets(self) -> list[str]:
        """The targets of what it took for requests."""
        return [request.target for request in self.upstream.requests]


@dataclass
class Stage:
    """A gateway before the witness."""

    gateway: RunningGateway
    witness: Witness

    def send(self, message: bytes) -> Raw:
        """A fresh connection with that message on it."""
        return self.gateway.raw().send(message)

    def assert_in_step(self) -> None:
        """The connection to the service that was there before carries a request as if nothing had been."""
        before = len(self.witness.targets)
        assert self.gateway.get("/after").text == "ok"
        assert self.witness.targets[before:] == ["/after"]
        assert self.witness.upstream.connections == 1, "the pooled connection was lost"


@pytest.fixture
def stage(proxy: Proxy, upstream: StartUpstream) -> Stage:
    """One connection to the service is in the pool when the test begins."""
    witness = Witness(upstream())
    stage = Stage(proxy(witness.upstream), witness)
    assert stage.gateway.get("/before").text == "ok"
    return stage
