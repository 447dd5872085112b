"""How much of a service is in use at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

import h2.connection
import h2.events

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, RunningGateway
from tests.harness.gateway import Answer
from tests.harness.poll import DEADLINE, eventually
from tests.harness.upstream import OK


class Gate:
    """A service that answers a request when it is told to."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream.script(self._play)
        self._permits = threading.Semaphore(0)

    def _play(self, connection: Connection) -> None:
        while connection.request() is not None:
            assert self._permits.acquire(timeout=DEADLINE)
            connection.send(OK)

    def open(self, count: int = 1) -> None:
        """Lets that many answers go."""
        self._permits.release(count)


def document(service: FakeUpstream, bulkhead: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "services": [{"name": "orders", "url": service.url, "retries": 0, "bulkhead": bulkhead, **more}],
        "routes": [{"name": "orders", "paths": ["/orders"], "service": "orders"}],
    }


def begin(running: RunningGateway) -> queue.Queue[Answer]:
    answered: queue.Queue[Answer] = queue.Queue()
    threading.Thread(target=lambda: answered.put(running.get("/orders")), daemon=True).start()
    return answered


def gauge(running: RunningGateway, name: str) -> int:
    line = f'tidegate_bulkhead_{name}{{bulkhead="orders"}} '
    (found,) = [text for text in running.metrics().splitlines() if text.startswith(line)]
    return int(found.removeprefix(line))


def test_those_beyond_the_bound_wait_in_line_and_those_beyond_the_line_are_refused(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_requests": 1, "max_pending": 1, "queue_timeout": "1h"}), workers=2)
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    second = begin(running)
    eventually(lambda: gauge(running, "waiting") == 1)
    refused = running.get("/orders")
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "bulkhead_full", "1")
    assert (gauge(running, "limit"), gauge(running, "requests")) == (1, 1)
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200
    gate.upstream.wait_for_requests(2)
    gate.open()
    assert second.get(timeout=DEADLINE).status == 200
    eventually(lambda: (gauge(running, "requests"), gauge(running, "waiting")) == (0, 0))
    assert 'tidegate_bulkhead_queued_total{bulkhead="orders",outcome="waited"} 1' in running.metrics()
    assert 'tidegate_bulkhead_queued_total{bulkhead="orders",outcome="full"} 1' in running.metrics()


def test_nobody_waits_for_longer_than_told(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_requests": 1, "queue_timeout": "5s"}))
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    second = begin(running)
    eventually(lambda: gauge(running, "waiting") == 1)
    running.advance(5.1)
    assert second.get(timeout=DEADLINE).code == "queue_timeout"
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200


def test_the_time_of_the_route_ends_the_wait(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_requests": 1, "queue_timeout": "1h"}, timeout="2s"))
    begin(running)
    gate.upstream.wait_for_requests(1)
    second = begin(running)
    eventually(lambda: gauge(running, "waiting") == 1)
    running.advance(2.1)
    assert second.get(timeout=DEADLINE).code == "timeout"
    gate.open()


def test_a_client_that_leaves_is_out_of_the_line(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_requests": 1, "queue_timeout": "1h"}))
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    with running.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n")
        eventually(lambda: gauge(running, "waiting") == 1)
    eventually(lambda: gauge(running, "waiting") == 0)
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200
    assert len(gate.upstream.requests) == 1
    assert 'outcome="left"} 1' in running.metrics()


def test_a_client_that_leaves_gives_its_place_back(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_requests": 1}))
    with running.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n")
        gate.upstream.wait_for_requests(1)
    eventually(lambda: gauge(running, "requests") == 0)
    gate.open(2)
    assert running.get("/orders").status == 200


def test_a_full_bulkhead_says_nothing_of_the_service(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    bulkhead = {"max_requests": 1, "max_pending": 0}
    running = gateway(document(gate.upstream, bulkhead, circuit_breaker={"failure_threshold": 1}))
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    assert [running.get("/orders").code for _ in range(3)] == ["bulkhead_full"] * 3
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200


def test_a_fallback_for_a_full_bulkhead(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    fallback = {"on": ["full"], "status": 429, "body": "busy"}
    running = gateway(document(gate.upstream, {"max_requests": 1, "max_pending": 0}, fallback=fallback))
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    assert (running.get("/orders").status, running.get("/orders").text) == (429, "busy")
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200


def test_an_adaptive_bound_is_measured(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    adaptive = {"initial": 7, "minimum": 2, "samples": 3, "interval": "10m"}
    running = gateway(document(service, {"adaptive": adaptive}))
    running.get("/orders")
    assert gauge(running, "limit") == 2, "while the least latency is measured"
    assert [running.get("/orders").status for _ in range(2)] == [200, 200]
    assert gauge(running, "limit") == 7
    assert "tidegate_bulkhead_least_latency_seconds" in running.metrics()


def test_no_more_connections_than_are_allowed_and_they_are_handed_on(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_connections": 2, "queue_timeout": "1h"}))
    begun = [begin(running) for _ in range(6)]
    gate.upstream.wait_for_requests(2)
    gate.open(6)
    assert [one.get(timeout=DEADLINE).status for one in begun] == [200] * 6
    assert gate.upstream.connections == 2
    idle = 'tidegate_pool_connections{service="orders",state="idle"} 2'
    eventually(lambda: idle in running.metrics())


def test_connections_are_bounded_over_all_workers(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    seen: list[int] = []

    def play(connection: Connection) -> None:
        seen.append(gauge_of_open(service))
        service._answer_all(connection)

    service.script(play)
    running = gateway(document(service, {"max_connections": 1, "queue_timeout": "1h"}), workers=3)
    begun = [begin(running) for _ in range(30)]
    assert [one.get(timeout=DEADLINE).status for one in begun] == [200] * 30
    assert max(seen) <= 1


def gauge_of_open(service: FakeUpstream) -> int:
    """Connections that have begun and whose end the service has not seen yet; its own sees them end a little later."""
    return service.connections - service._state.closed - 1


def test_an_idle_connection_gives_way_to_those_who_wait(gateway: StartGateway, upstream: StartUpstream) -> None:
    first, second = upstream(), upstream()
    targets = [{"address": of.url.removeprefix("http://")} for of in (first, second)]
    running = gateway(
        {
            "services": [
                {
                    "name": "orders",
                    "upstream": {"balance": "round_robin", "targets": targets},
                    "bulkhead": {"max_connections": 1, "queue_timeout": "1h"},
                }
            ],
            "routes": [{"name": "orders", "paths": ["/orders"], "service": "orders"}],
        }
    )
    assert [running.get("/orders").status for _ in range(4)] == [200] * 4
    assert len(first.requests) == len(second.requests) == 2


def test_a_client_of_http2_cannot_open_a_hundred_connections(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_connections": 3, "max_pending": 200, "queue_timeout": "1h"}))
    gate.open(100)
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    for number in range(1, 200, 2):
        path = [(":method", "GET"), (":path", "/orders"), (":scheme", "http"), (":authority", "a")]
        connection.send_headers(number, path, end_stream=True)
    with running.raw() as client:
        client.send(connection.data_to_send())
        ended = 0
        while ended < 100:
            assert client._more()
            received, client.buffer = client.buffer, b""
            events = connection.receive_data(received)
            ended += sum(isinstance(event, h2.events.StreamEnded) for event in events)
            client.send(connection.data_to_send())
    assert gate.upstream.connections == 3


def test_no_connection_within_the_time_is_told(gateway: StartGateway, upstream: StartUpstream) -> None:
    gate = Gate(upstream())
    running = gateway(document(gate.upstream, {"max_connections": 1, "max_pending": 1, "queue_timeout": "5s"}))
    first = begin(running)
    gate.upstream.wait_for_requests(1)
    second = begin(running)
    eventually(lambda: gauge(running, "waiting") == 1)
    assert gauge(running, "connections") == 1
    assert running.get("/orders").code == "bulkhead_full"
    running.advance(5.1)
    late = second.get(timeout=DEADLINE)
    assert (late.code, late.headers["retry-after"]) == ("queue_timeout", "1")
    gate.open()
    assert first.get(timeout=DEADLINE).status == 200
