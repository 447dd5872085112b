"""Every limit that is on by default, with its status and code."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Raw, RunningGateway, eventually
from tests.proxying.conftest import GET


def refusal(client: Raw) -> tuple[int, str, str]:
    status, headers, body = client.read_answer()
    return status, json.loads(body)["code"], headers.get("connection", "")


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        pytest.param(GET[:-2] + "X: " + "y" * (32 << 10) + "\r\n\r\n", 431, "head_too_large", id="32 KiB"),
        pytest.param(GET[:-2] + "X: y\r\n" * 100 + "\r\n", 431, "too_many_fields", id="101 fields"),
        pytest.param(
            "GET /" + "x" * (8 << 10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long", id="target of 8 KiB"
        ),
    ],
)
def test_a_head_over_a_limit_is_refused(
    proxy: Proxy, upstream: StartUpstream, message: str, status: int, code: str
) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        client.send(message)
        assert refusal(client) == (status, code, "close")
        assert client.is_closed()
    assert service.connections == 0


def test_a_head_just_below_every_limit_is_taken(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    fields = "X: " + "y" * 200 + "\r\n"
    with proxy(service).raw() as client:
        client.send("GET /" + "x" * ((8 << 10) - 1) + " HTTP/1.1\r\nHost: a\r\n" + fields * 99 + "\r\n")
        assert client.read_answer()[0] == 200
    assert len([name for name, _ in service.last.fields if name == "x"]) == 99


def test_a_body_that_is_announced_too_large_is_refused_at_once(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        client.send(f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {(10 << 20) + 1}\r\n\r\n")
        assert refusal(client) == (413, "body_too_large", "close")
        assert client.is_closed()
    assert service.connections == 0


def test_a_body_that_turns_out_too_large_is_refused_on_the_way(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service, route={"max_body": 1000}).raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("1f4\r\n", b"x" * 500, "\r\n")
        service.wait_for_connections()
        client.send("1f5\r\n", b"x" * 501, "\r\n0\r\n\r\n")
        assert refusal(client) == (413, "body_too_large", "close")
        assert client.is_closed()
    service.wait_for_closed()
    assert service.requests == [], "the service never saw a whole request"


def test_a_body_of_just_the_limit_is_taken(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service, route={"max_body": 1000})
    assert gateway.post("/x", b"x" * 1000).status == 200
    with gateway.raw() as client:
        client.send(
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + "x" * 1000 + "\r\n0\r\n\r\n"
        )
        assert client.read_answer()[0] == 200
    assert [len(request.body) for request in service.requests] == [1000, 1000]


def limited(gateway: StartGateway, **limits: int) -> RunningGateway:
    return gateway(
        {
            "listeners": [{"address": "127.0.0.1:0", "limits": limits}],
            "routes": [{"name": "fixed", "paths": ["/"], "respond": {"status": 200, "body": "fixed"}}],
        }
    )


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_a_connection_too_many_is_closed_and_a_place_comes_free(gateway: StartGateway, limit: str) -> None:
    running = limited(gateway, **{limit: 3})
    kept = [running.raw() for _ in range(3)]
    for client in kept:
        client.send(GET)
        assert client.read_answer()[0] == 200
    with running.raw() as refused:
        assert refused.is_closed()
    kept.pop().close()

    def is_taken() -> bool:
        # Until the place is free again the gateway closes the connection, which the client may see as a reset.
        with contextlib.suppress(ConnectionError):
            return running.get("/x").status == 200
        return False

    eventually(is_taken, "a free place")
    for client in kept:
        client.send(GET)
        assert client.read_answer()[0] == 200
        client.close()


def test_behind_a_proxy_header_clients_are_counted_not_the_proxy(gateway: StartGateway) -> None:
    """All connections come from the balancer: counted by its address, a handful of clients would shut out the rest."""
    running = gateway(
        {
            "listeners": [
                {"address": "127.0.0.1:0", "proxy_protocol": True, "limits": {"connections_per_address": 2}},
            ],
            "routes": [{"name": "fixed", "paths": ["/"], "respond": {"status": 200, "body": "fixed"}}],
        }
    )

    def connect(client_address: str) -> Raw:
        return running.raw().send(f"PROXY TCP4 {client_address} 10.0.0.1 1234 80\r\n{GET}")

    kept = [connect(f"192.0.2.{n // 2}") for n in range(8)]
    for client in kept:
        assert client.read_answer()[0] == 200
    with connect("192.0.2.0") as refused:
        assert refused.is_closed()
    for client in kept:
        client.close()


def test_idle_connections_cost_little(gateway: StartGateway) -> None:
    from tests.proxying.conftest import memory_kib

    running = limited(gateway)
    before = memory_kib()
    kept = [running.raw() for _ in range(400)]
    for client in kept:
        client.send(GET)
        assert client.read_answer()[0] == 200
    assert (memory_kib() - before) / 400 < 16, "KiB a connection, that of the test's own side included"
    for client in kept:
        client.close()
