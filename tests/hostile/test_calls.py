"""What one client does to the calls of all: its own slowness is never held against a service."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, Raw, RunningGateway
from tests.harness.upstream import OK

FAILS = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"


class Uploads:
    """A service that says when it has half of a body, and answers once it has all of it."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.halves = threading.Semaphore(0)
        self.connections = 0
        self.upstream = upstream.script(self._play)

    def _play(self, connection: Connection) -> None:
        self.connections += 1
        while (head := connection.request_head()) is not None:
            if head.header("content-length"):
                connection.read_exactly(4)
                self.halves.release()
                connection.read_exactly(4)
            connection.send(OK)

    def slow(self, gateway: RunningGateway, seconds: float, method: str = "POST") -> int:
        """A client that takes so long in the middle of its body; the status of its answer."""
        with gateway.raw() as client:
            self.begin(client, method)
            # There is one worker: once it has answered another, it waits for this one.
            assert gateway.get("/x").status == 200
            gateway.advance(seconds)
            client.send(b"half")
            status: int = client.read_answer()[0]
            return status

    def begin(self, client: Raw, method: str = "POST") -> None:
        client.send(f"{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        assert self.halves.acquire(timeout=20)


@pytest.fixture
def uploads(upstream: StartUpstream) -> Uploads:
    return Uploads(upstream())


def test_a_slow_client_makes_no_slow_calls(proxy: Proxy, uploads: Uploads) -> None:
    breaker = {"slow_call_rate": "30%", "slow_call": "1s", "minimum_calls": 3}
    gateway = proxy(uploads.upstream, circuit_breaker=breaker)
    assert [uploads.slow(gateway, 9) for _ in range(3)] == [200] * 3
    assert gateway.get("/x").status == 200


def test_a_slow_client_ejects_no_target(gateway: StartGateway, uploads: Uploads) -> None:
    passive: dict[str, Any] = {"slow_rate": "30%", "slow_call": "1s", "minimum_calls": 3, "interval": "5m"}
    host, port = uploads.upstream.address
    service = {"targets": [{"address": f"{host}:{port}"}], "health_check": {"passive": passive}}
    running = gateway(
        {
            "services": [{"name": "s", "upstream": service}],
            "routes": [{"name": "r", "paths": ["/"], "service": "s", "strip_path": False}],
        }
    )
    assert [uploads.slow(running, 2) for _ in range(4)] == [200] * 4
    assert 'cause="slow_rate"} 1' not in running.metrics()
    assert running.get("/x").status == 200


def test_trials_that_wait_for_their_clients_do_not_keep_others_out(
    gateway: StartGateway, upstream: StartUpstream, uploads: Uploads
) -> None:
    sick = threading.Event()
    sick.set()
    well = uploads.upstream.play

    def play(connection: Connection) -> None:
        if sick.is_set():
            connection.request()
            connection.send(FAILS)
        else:
            well(connection)

    uploads.upstream.script(play)
    breaker = {"failure_threshold": 1, "success_threshold": 2, "timeout": "5s"}
    running = gateway(
        {
            "services": [{"name": "s", "url": uploads.upstream.url, "retries": 0, "circuit_breaker": breaker}],
            "routes": [{"name": "r", "paths": ["/"], "service": "s", "strip_path": False}],
        }
    )
    assert running.get("/x").status == 500
    sick.clear()
    running.advance(5)
    with running.raw() as first, running.raw() as second:
        uploads.begin(first)
        uploads.begin(second)
        assert running.get("/x").code == "circuit_open"
        running.advance(5)
        assert [running.get("/x").status for _ in range(4)] == [200] * 4


def test_a_body_that_comes_slowly_is_not_hedged_for_that(proxy: Proxy, uploads: Uploads) -> None:
    gateway = proxy(uploads.upstream, hedging={"after": "5s", "budget": 1, "methods": ["PUT"]})
    with gateway.raw() as client:
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        assert gateway.get("/x").status == 200
        gateway.advance(9)
        client.send(b"half")
        assert client.read_answer()[0] == 200
    assert "tidegate_upstream_hedges_total{" not in gateway.metrics()
