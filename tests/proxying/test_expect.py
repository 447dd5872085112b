"""`Expect: 100-continue`."""

from __future__ import annotations

import pytest

from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection
from tests.proxying.conftest import advance_until_heard

HEAD = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"


def test_the_service_says_100(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        head = connection.request_head()
        assert head is not None
        connection.upstream.record(head)
        connection.send(CONTINUE)
        body = connection.read_exactly(4)
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", body)

    service = upstream().script(play)
    with proxy(service).raw() as client:
        client.send(HEAD)
        assert client.read_head()[0] == 100
        assert service.last.header("expect") == "100-continue"
        client.send(b"body")
        assert client.read_answer()[::2] == (200, b"body")


def test_a_service_that_does_not_know_it_gets_the_body_after_a_second(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(HEAD)
        service.wait_for_connections()
        advance_until_heard(gateway, client, 1.1)
        assert client.read_head()[0] == 100
        client.send(b"body")
        assert client.read_answer()[::2] == (200, b"ok")
    assert service.last.body == b"body"


def test_a_client_that_does_not_wait_is_served_too(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(HEAD + "body")
        service.wait_for_connections()
        advance_until_heard(gateway, client, 1.1)
        assert client.read_head()[0] == 100
        assert client.read_answer()[::2] == (200, b"ok")


def test_a_final_answer_instead_closes_the_connection(proxy: Proxy, upstream: StartUpstream) -> None:
    """Whether the body comes cannot be told, so nothing behind it can be read as a request."""

    def play(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        connection.hang()

    service = upstream().script(play)
    with proxy(service).raw() as client:
        client.send(HEAD)
        status, headers, body = client.read_answer()
        assert (status, headers["connection"], body) == (403, "close", b"no")
        client.send(b"GET ")
        assert client.is_closed()
    service.wait_for_closed()


@pytest.mark.parametrize("target", ["/fixed", "/nowhere"])
def test_an_answer_of_the_gateway_instead_closes_the_connection(gateway: StartGateway, target: str) -> None:
    running = gateway({"routes": [{"name": "fixed", "paths": ["/fixed"], "respond": {"status": 200, "body": "fixed"}}]})
    with running.raw() as client:
        client.send(HEAD.replace("/x", target))
        assert client.read_answer()[1]["connection"] == "close"
        assert client.is_closed()


def test_without_a_body_it_means_nothing(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_answer()[::2] == (200, b"ok")
    assert service.last.header("expect") is None


def test_from_http_1_0_it_means_nothing(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        client.send(HEAD.replace("HTTP/1.1", "HTTP/1.0") + "body")
        assert client.read_answer()[::2] == (200, b"ok")
    assert service.last.header("expect") is None
