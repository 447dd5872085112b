"""Each timeout, its code, and that nothing else runs out in its place. The clock is moved by hand."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import DEADLINE, Connection, FakeUpstream, Raw, RunningGateway
from tests.harness.upstream import hang_after_head, hang_before_head
from tests.proxying.conftest import GET, advance_until_heard


def refusal(client: Raw) -> tuple[int, str]:
    status, _, body = client.read_answer()
    return status, json.loads(body)["code"]


def test_a_service_that_says_nothing(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service, read_timeout="10s")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (504, "upstream_timeout")
        service.wait_for_closed()
        client.send(GET)
        service.wait_for_requests(2)


def test_a_service_that_stops_within_its_answer(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_after_head)
    gateway = proxy(service, read_timeout="10s")
    with gateway.raw() as client:
        client.send(GET)
        assert client.read_head()[0] == 200
        advance_until_heard(gateway, client, 10.1)
        assert client.is_closed(), "the answer is cut off"


def test_a_service_that_goes_on_is_not_cut_off(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Semaphore(0)

    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for byte in b"steady":
            connection.send(bytes([byte]))
            go_on.acquire(timeout=DEADLINE)

    gateway = proxy(upstream().script(play), read_timeout="10s")
    with gateway.raw() as client:
        client.send(GET)
        client.read_head()
        for byte in b"steady":
            assert client.read_exactly(1) == bytes([byte])
            gateway.advance(6)
            go_on.release()


def test_a_service_that_takes_nothing(proxy: Proxy, upstream: StartUpstream) -> None:
    service_over = threading.Event()

    def play(connection: Connection) -> None:
        connection.request_head()
        service_over.wait(DEADLINE)

    gateway = proxy(upstream().script(play), write_timeout="10s", read_timeout="1h", route={"max_body": 1 << 30})
    with gateway.raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        _fill(client.socket)
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (504, "upstream_write_timeout")
    service_over.set()


def _fill(channel: socket.socket) -> None:
    """Sends until nothing more is taken for a while."""
    piece = bytes(1 << 20)
    channel.setblocking(False)
    while select.select([], [channel], [], 0.5)[1]:
        channel.send(piece)


def test_a_service_that_cannot_be_reached_in_time(proxy: Proxy, upstream: StartUpstream) -> None:
    with _nobody_accepts() as address:
        gateway = proxy(address, connect_timeout="10s", retries=0)
        with gateway.raw() as client:
            client.send(GET)
            advance_until_heard(gateway, client, 10.1)
            assert refusal(client) == (504, "upstream_connect_timeout")


class _Address:
    """Enough of a `FakeUpstream` for the `proxy` fixture."""

    def __init__(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()
        self.url = f"http://{host}:{port}"


@contextmanager
def _nobody_accepts() -> Iterator[_Address]:
    """An address whose connections nobody accepts, so many that the kernel drops the next one's SYN."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(16):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield _Address(listener)


def test_the_whole_time_of_a_route(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service, read_timeout="1h", route={"timeout": "10s"})
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (504, "timeout")


def test_the_time_of_a_route_holds_while_connecting(proxy: Proxy, upstream: StartUpstream) -> None:
    with _nobody_accepts() as address:
        gateway = proxy(address, connect_timeout="1h", retries=5, route={"timeout": "10s"})
        with gateway.raw() as client:
            client.send(GET)
            advance_until_heard(gateway, client, 10.1)
            assert refusal(client) == (504, "timeout")


@pytest.mark.parametrize("sent", ["G", "GET /x HTTP/1.1\r\n", "GET /x HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_head_that_does_not_end(proxy: Proxy, upstream: StartUpstream, sent: str) -> None:
    service = upstream()
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(sent)
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (408, "head_timeout")
        assert client.is_closed()
    assert service.connections == 0


def test_a_head_that_drips_has_its_time_in_all(proxy: Proxy, upstream: StartUpstream) -> None:
    """A byte now and then does not buy more time: slowloris."""
    gateway = proxy(upstream())
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n")
        for _ in range(20):
            client.send("x: y\r\n")
            gateway.advance(1)
            if select.select([client.socket], [], [], 0.01)[0]:
                break
        assert refusal(client) == (408, "head_timeout")


def test_a_second_head_that_does_not_end(proxy: Proxy, upstream: StartUpstream) -> None:
    gateway = proxy(upstream())
    with gateway.raw() as client:
        client.send(GET)
        assert client.read_answer()[0] == 200
        client.send("GET /x HT")
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (408, "head_timeout")


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(proxy: Proxy, upstream: StartUpstream) -> None:
    gateway = proxy(upstream())
    with gateway.raw() as client:
        advance_until_heard(gateway, client, 10.1)
        assert client.is_closed()


def test_an_idle_connection_is_closed_without_a_word(proxy: Proxy, upstream: StartUpstream) -> None:
    gateway = proxy(upstream())
    with gateway.raw() as client:
        client.send(GET)
        client.read_answer()
        gateway.advance(60)
        client.send(GET)
        assert client.read_answer()[0] == 200, "60 s are no 75"
        advance_until_heard(gateway, client, 75.1)
        assert client.is_closed()


def test_a_body_that_does_not_go_on(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service, read_timeout="1s")
    with gateway.raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        service.wait_for_connections()
        advance_until_heard(gateway, client, 75.1)
        assert refusal(client) == (408, "body_timeout")
        assert client.is_closed()


def test_an_idle_connection_to_the_service_is_closed(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service, pool={"idle_timeout": "5s"})
    assert gateway.get("/x").status == 200
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        gateway.advance(5.1)
        if _closed(service):
            break
    assert gateway.get("/x").status == 200
    assert service.connections == 2


def _closed(service: FakeUpstream) -> bool:
    with service._changed:
        return service._changed.wait_for(lambda: service._state.closed == 1, 0.1)


def test_the_gateway_outlives_all_of_it(proxy: Proxy, upstream: StartUpstream) -> None:
    gateway: RunningGateway = proxy(upstream())
    gateway.advance(100_000)
    assert gateway.get("/x").status == 200
