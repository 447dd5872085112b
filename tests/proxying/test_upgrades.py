"""WebSockets and every other switch of protocols."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import Connection

ASK = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n"
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\nX-More: 1\r\n\r\n"


def echo(connection: Connection) -> None:
    """Switches, greets, and says everything back until the client has said all."""
    head = connection.request_head()
    assert head is not None
    connection.upstream.record(head)
    connection.send(SWITCH, b"hello\n")
    while connection.buffer or connection._more():
        connection.send(connection.read_exactly(len(connection.buffer)))
    connection.send(b"bye\n")


def test_bytes_go_both_ways_after_the_switch(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(echo)
    with proxy(service).raw() as client:
        client.send(ASK)
        status, headers = client.read_head()
        assert (status, headers["upgrade"], headers["connection"]) == (101, "chat/1", "upgrade")
        assert headers["x-more"] == "1"
        assert not {"content-length", "transfer-encoding"} & headers.keys()
        assert client.read_until(b"\n") == b"hello\n"
        for word in (b"one\n", b"\x00\xff\n", b"x" * 100_000 + b"\n"):
            client.send(word)
            assert client.read_until(b"\n") == word
        assert (service.last.header("upgrade"), service.last.header("connection")) == ("chat/1", "upgrade")


def test_what_the_client_says_too_early_waits_for_the_101(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request_head()
        assert not connection.buffer, "nothing may come before the switch"
        connection.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
        connection.send(SWITCH)
        connection.send(connection.read_exactly(5))

    with proxy(upstream().script(play)).raw() as client:
        client.send(ASK + "early")
        assert client.read_head()[0] == 101
        assert client.read_exactly(5) == b"early"


def test_a_client_that_has_said_all_still_hears_the_service(proxy: Proxy, upstream: StartUpstream) -> None:
    with proxy(upstream().script(echo)).raw() as client:
        client.send(ASK)
        client.read_head()
        client.send(b"last\n").half_close()
        assert client.read_all() == b"hello\nlast\nbye\n"


def test_a_service_that_has_said_all_still_hears_the_client(proxy: Proxy, upstream: StartUpstream) -> None:
    heard: list[bytes] = []

    def play(connection: Connection) -> None:
        connection.request_head()
        connection.send(SWITCH)
        connection.half_close()
        heard.append(connection.read_all())

    service = upstream().script(play)
    with proxy(service).raw() as client:
        client.send(ASK)
        client.read_head()
        assert client.is_closed()
        client.send(b"last words").half_close()
        service.wait_for_closed()
    assert heard == [b"last words"]


@pytest.mark.parametrize("who", ["client", "service"])
def test_an_end_of_one_side_ends_the_other(proxy: Proxy, upstream: StartUpstream, who: str) -> None:
    switched = threading.Event()

    def play(connection: Connection) -> None:
        connection.request_head()
        connection.send(SWITCH)
        if who == "client":
            connection.hang()
        else:
            switched.wait(20)
            connection.reset()

    service = upstream().script(play)
    client = proxy(service).raw()
    client.send(ASK)
    client.read_head()
    switched.set()
    if who == "client":
        client.reset()
    else:
        assert client.is_closed()
        client.close()
    service.wait_for_closed()


def test_a_switch_that_is_refused_is_an_ordinary_answer(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        for _ in range(2):
            client.send(ASK)
            assert client.read_answer()[::2] == (200, b"ok")
    assert service.connections == 1


def test_a_request_with_a_body_is_no_upgrade(proxy: Proxy, upstream: StartUpstream) -> None:
    """Where its body ends and the other protocol begins would be two readers' guess."""
    service = upstream()
    with proxy(service).raw() as client:
        client.send(ASK[:-2] + "Content-Length: 4\r\n\r\nbody")
        assert client.read_answer()[::2] == (200, b"ok")
    assert (service.last.header("upgrade"), service.last.header("connection")) == (None, None)


def test_a_switch_that_nobody_asked_for_is_refused(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send(SWITCH)
        connection.hang()

    with proxy(upstream().script(play)).raw() as client:
        client.send(ASK[:-2] + "Content-Length: 4\r\n\r\nbody")
        assert client.read_answer()[0] == 502
