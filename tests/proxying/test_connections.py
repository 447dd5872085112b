"""Connections on both sides: reuse, pipelining, half-close, clients that leave, services that do."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress

import pytest

from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, eventually
from tests.harness.upstream import hang_before_head
from tests.proxying.conftest import GET

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_connections_are_used_again_on_both_sides(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        for _ in range(20):
            client.send(GET)
            assert client.read_answer()[0] == 200
    assert service.connections == 1


def test_a_reload_keeps_the_connections_to_addresses_that_stay_and_closes_those_to_the_rest(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    stays, changes, goes = upstream(), upstream(), upstream()

    def document(retries: int, **urls: str) -> dict[str, object]:
        return {
            "services": [
                {"name": name, "url": url, "retries": retries if name == "changes" else 1} for name, url in urls.items()
            ],
            "routes": [{"name": name, "paths": [f"/{name}"], "service": name} for name in urls],
        }

    running = gateway(document(1, stays=stays.url, changes=changes.url, goes=goes.url))
    for name in ("stays", "changes", "goes"):
        assert running.get(f"/{name}").status == 200
    running.reload(document(2, stays=stays.url, changes=changes.url))
    running.advance(2)
    goes.wait_for_closed()
    for name in ("stays", "changes"):
        assert running.get(f"/{name}").status == 200
    assert (stays.connections, changes.connections, goes.connections) == (1, 1, 1)


def test_pipelined_requests_are_answered_in_order(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        while (request := connection.request()) is not None:
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(request.target)}\r\n\r\n{request.target}")

    service = upstream().script(play)
    with proxy(service).raw() as client:
        client.send("".join(f"POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx\r\n" for n in range(50)))
        assert [client.read_answer()[2].decode() for _ in range(50)] == [f"/{n}" for n in range(50)]
    assert [request.body for request in service.requests] == [b"x\r\n"] * 50


def test_what_is_read_ahead_is_bounded(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    with proxy(service).raw() as client:
        client.send(GET)
        service.wait_for_requests()
        client.socket.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            for _ in range(1000):
                sent += client.socket.send(GET.encode() * 5000)
        assert sent < 64 << 20, "only what the sockets hold"
    assert service.connections == 1


def test_a_client_that_says_close_gets_its_answer_and_the_end(proxy: Proxy, upstream: StartUpstream) -> None:
    with proxy(upstream()).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        _, headers, body = client.read_answer()
        assert (headers["connection"], body) == ("close", b"ok")
        assert client.is_closed(), "what came behind is not answered"


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("phase", ["before the answer", "within the answer"])
def test_a_client_that_leaves_cancels_the_request_at_once(
    proxy: Proxy, upstream: StartUpstream, phase: str, how: str
) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        if phase == "within the answer":
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.hang()

    service = upstream().script(play)
    client = proxy(service).raw()
    client.send(GET)
    service.wait_for_requests()
    if phase == "within the answer":
        client.read_until(b"half")
    client.reset() if how == "resets" else client.close()
    service.wait_for_closed()


def test_a_client_that_leaves_within_its_body_cancels_the_request(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    client = proxy(service).raw()
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    service.wait_for_connections()
    client.close()
    service.wait_for_closed()
    assert service.requests == []


def test_a_client_that_has_said_all_is_answered_where_the_listener_allows(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    go_on = threading.Event()

    def play(connection: Connection) -> None:
        while connection.request() is not None:
            go_on.wait(20)
            connection.send(OK)

    running = gateway(_half_close(upstream().script(play).url, True))
    with running.raw() as client:
        client.send(GET * 3).half_close()
        go_on.set()
        assert [client.read_answer()[2] for _ in range(3)] == [b"ok"] * 3, "all that was pipelined"
        assert client.is_closed()


def test_a_client_that_has_said_all_has_left_where_it_does_not(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    running = gateway(_half_close(service.url, False))
    with running.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        client.half_close()
        service.wait_for_closed()


def _half_close(url: str, allowed: bool) -> dict[str, object]:
    return {
        "listeners": [{"address": "127.0.0.1:0", "half_close": allowed}],
        "services": [{"name": "service", "url": url}],
        "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
    }


def one_answer_each(connection: Connection) -> None:
    """Answers once as if it would go on, and closes at the next request: the pooled connection has gone stale."""
    connection.request()
    connection.send(OK)
    connection.request_head()


def test_a_stale_connection_is_replaced_where_the_request_may_be_sent_again(
    proxy: Proxy, upstream: StartUpstream
) -> None:
    service = upstream().script(one_answer_each)
    gateway = proxy(service, retries=0)
    for count in range(1, 4):
        assert gateway.get("/x").text == "ok"
        assert service.connections == count


def test_a_body_is_sent_again_from_its_first_byte(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(one_answer_each)
    gateway = proxy(service, retries=0)
    for _ in range(3):
        assert gateway.request("PUT", "/x", body=b"whole body").text == "ok"
    assert [request.body for request in service.requests] == [b"whole body"] * 3


def test_a_body_that_is_still_coming_is_sent_again_from_its_first_byte(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(one_answer_each)
    gateway = proxy(service, retries=0)
    assert gateway.get("/x").text == "ok"
    with gateway.raw() as client:
        client.send(b"PUT /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nwhole")
        eventually(lambda: service.connections == 2, "another connection")
        client.send(b" body")
        assert client.read_answer()[0] == 200
    assert service.requests[-1].body == b"whole body"


def test_what_may_not_be_done_twice_is_not_sent_again(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(one_answer_each)
    gateway = proxy(service, retries=3)
    assert gateway.post("/x", b"body").status == 200
    refused = gateway.post("/x", b"body")
    assert (refused.status, refused.code) == (502, "upstream_closed")
    assert service.connections == 1


def test_a_connection_that_the_service_has_closed_is_not_used(proxy: Proxy, upstream: StartUpstream) -> None:
    """Not even for what may not be sent twice: it is looked at first."""

    def play(connection: Connection) -> None:
        connection.request()
        connection.send(OK)

    service = upstream().script(play)
    gateway = proxy(service, retries=0)
    for count in range(1, 20):
        assert gateway.post("/x", b"body").status == 200
        service.wait_for_closed(count)


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_a_service_that_says_close_is_believed(proxy: Proxy, upstream: StartUpstream, answer: str) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send(answer)
        connection.hang()

    service = upstream().script(play)
    with proxy(service).raw() as client:
        for _ in range(2):
            client.send(GET)
            _, headers, body = client.read_answer()
            assert body == b"ok"
            assert "connection" not in headers, "the client's connection is its own"
    service.wait_for_closed(2)


def test_a_service_that_is_not_there(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service)
    service.stop()
    refused = gateway.get("/x")
    assert (refused.status, refused.code) == (502, "upstream_connect_failed")


def test_a_failed_attempt_goes_to_another_target(gateway: StartGateway, upstream: StartUpstream) -> None:
    dead, alive = upstream(), upstream()
    targets = [service.url.removeprefix("http://") for service in (dead, alive)]
    running = gateway(
        {
            "services": [
                {"name": "service", "retries": 1, "upstream": {"targets": [{"address": target} for target in targets]}}
            ],
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }
    )
    dead.stop()
    assert [running.post("/x", b"body").status for _ in range(6)] == [200] * 6
    assert len(alive.requests) == 6


def test_a_drain_answers_what_is_open_and_says_close(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        go_on.wait(20)
        connection.send(OK)
        connection.hang()

    service = upstream().script(play)
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        drained: list[bool] = []
        drain = threading.Thread(target=lambda: drained.append(gateway.drain(20_000)))
        drain.start()
        eventually(lambda: _refuses(gateway.address()), "no new connections")
        go_on.set()
        _, headers, body = client.read_answer()
        assert (headers["connection"], body) == ("close", b"ok")
        assert client.is_closed()
        drain.join()
    assert drained == [True]


def _refuses(address: tuple[str, int]) -> bool:
    import socket

    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return True
    return False


def test_an_error_says_nothing_of_what_is_inside(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service)
    port = service.url.rsplit(":", 1)[1]
    service.stop()
    answer = gateway.get("/x")
    assert set(json.loads(answer.body)) <= {"type", "title", "status", "code", "request_id"}
    assert port not in answer.text


# Head, half of the body and the end come in one segment: nothing of the answer has gone on, so another can be given.
def test_a_service_that_breaks_off_at_once_is_a_502_and_not_a_silent_end(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.socket.send(b"HTTP/1.1 200 OK\r\nX-Of: service\r\nContent-Length: 10\r\n\r\nhalf", socket.MSG_MORE)
        connection.close()

    running = proxy(upstream().script(play))
    with running.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n\r\n")
        status, headers, body = client.read_answer()
        assert (status, json.loads(body)["code"], headers["connection"]) == (502, "upstream_reset", "close")
        assert "x-of" not in headers
        assert client.is_closed()
