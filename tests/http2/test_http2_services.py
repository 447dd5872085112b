"""Services that speak HTTP/2."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from h2.errors import ErrorCodes
from tidegate import Gateway, Route
from tidegate import Service as ServiceOptions

from tests.harness import RunningGateway, serving
from tests.http2.service import Asked, Script, Service, service


@contextmanager
def gateway_to(script: Script, *, streams: int = 100, **options: object) -> Iterator[tuple[RunningGateway, Service]]:
    with service(script, streams=streams) as behind:
        url = f"http://127.0.0.1:{behind.port}"
        settings = ServiceOptions.model_validate(
            {"name": "behind", "url": url, "protocol": "h2", "retries": 0, **options}
        )
        with serving(Gateway(services=[settings], routes=[Route(name="all", paths=["/"], service="behind")])) as served:
            yield served, behind


def ask(
    served: RunningGateway, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    client = http.client.HTTPConnection(*served.address(), timeout=10)
    try:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def code(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["code"]


def echo(asked: Asked) -> None:
    asked.answer(
        200, json.dumps(asked.fields | {"body": asked.body.decode()}).encode(), ("content-type", "application/json")
    )


def test_a_request_arrives_as_http2() -> None:
    with gateway_to(echo) as (served, behind):
        status, body = ask(
            served, "POST", "/a/b?c=d", b"hello", **{"X-Thing": "1", "Connection": "x-gone", "X-Gone": "1"}
        )
    assert status == 200
    fields = json.loads(body)
    assert (fields[":method"], fields[":path"]) == ("POST", "/a/b?c=d")
    assert fields[":scheme"] == "http"
    assert fields[":authority"] == f"127.0.0.1:{behind.port}"
    assert fields["x-thing"] == "1"
    assert fields["content-length"] == "5"
    assert fields["body"] == "hello"
    assert not {"connection", "x-gone", "host", "transfer-encoding"} & set(fields)


def test_requests_share_a_connection() -> None:
    with gateway_to(echo) as (served, behind), ThreadPoolExecutor(16) as threads:
        assert {status for status, _ in threads.map(lambda _: ask(served), range(64))} == {200}
        assert len(behind.connections) == 1
        assert behind.connections[0].requests == 64


def test_a_service_that_allows_few_streams_gets_more_connections() -> None:
    both = threading.Barrier(4, timeout=10)

    def meet(asked: Asked) -> None:
        both.wait()
        asked.answer(200, b"met")

    with gateway_to(meet, streams=1) as (served, behind), ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: ask(served), range(4))) == [(200, b"met")] * 4
        assert [connection.requests for connection in behind.connections] == [1] * 4


def test_a_request_that_was_refused_unseen_is_sent_again() -> None:
    def refuse_first(asked: Asked) -> None:
        if asked.connection.requests == 1:
            asked.connection.h2.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)
            asked.connection.flush()
        else:
            asked.answer(200, b"taken")

    with gateway_to(refuse_first) as (served, _):
        assert ask(served, "POST") == (200, b"taken")


def test_a_request_behind_a_goaway_goes_to_a_new_connection() -> None:
    def leave_first(asked: Asked) -> None:
        if asked.connection.number == 0:
            asked.connection.h2.close_connection(last_stream_id=0)
            asked.connection.flush()
        else:
            asked.answer(200, b"new")

    with gateway_to(leave_first) as (served, behind):
        assert ask(served, "POST") == (200, b"new")
        assert len(behind.connections) == 2


def test_a_request_that_the_service_broke_off_is_not_sent_twice() -> None:
    def break_off(asked: Asked) -> None:
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.INTERNAL_ERROR)
        asked.connection.flush()

    with gateway_to(break_off, retries=3) as (served, behind):
        assert code(ask(served, "POST", body=b"once")) == (502, "upstream_closed")
        assert sum(connection.requests for connection in behind.connections) == 1


def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one() -> None:
    """Nobody has seen its beginning yet: then it is a failure like those before it."""

    def half(asked: Asked) -> None:
        asked.connection.h2.send_headers(asked.stream, [(":status", "200")])
        asked.connection.h2.send_data(asked.stream, b"half")
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.INTERNAL_ERROR)
        asked.connection.flush()

    with gateway_to(half) as (served, _):
        assert code(ask(served)) == (502, "upstream_reset")


def test_a_client_that_leaves_cancels_its_request() -> None:
    with gateway_to(lambda asked: None) as (served, behind):
        client = socket.create_connection(served.address())
        client.sendall(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert behind.wait(lambda: bool(behind.connections) and behind.connections[0].requests == 1)
        # A reset: an end alone may come from a client that still waits.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert behind.wait(lambda: bool(behind.connections[0].resets))


def test_a_service_that_speaks_http1_is_a_clear_failure() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        accepted, _ = listener.accept()
        accepted.recv(4096)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        accepted.close()

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = ServiceOptions.model_validate({"name": "old", "url": url, "protocol": "h2", "retries": 0})
    with serving(Gateway(services=[settings], routes=[Route(name="all", paths=["/"], service="old")])) as served:
        assert code(ask(served)) == (502, "upstream_connect_failed")
    thread.join()
    listener.close()


def test_refused_streams_are_retried_by_the_rules() -> None:
    def refuse(asked: Asked) -> None:
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)
        asked.connection.flush()

    with gateway_to(refuse, retries={"attempts": 2, "backoff": "off"}) as (served, behind):
        assert code(ask(served, "POST")) == (502, "upstream_closed")
        # Each attempt is replaced once: the connection may have been about to close.
        assert sum(connection.requests for connection in behind.connections) == 6


def test_an_answer_that_is_tried_again_leaves_its_connection() -> None:
    def busy_first(asked: Asked) -> None:
        asked.answer(503 if asked.connection.requests == 1 else 200, b"x" * 1000)

    with gateway_to(busy_first, retries={"attempts": 1, "backoff": "off", "on": [503]}) as (served, behind):
        assert ask(served) == (200, b"x" * 1000)
        assert [connection.requests for connection in behind.connections] == [2]


@pytest.mark.parametrize(("methods", "attempts"), [(["POST"], 2), (None, 1)])
def test_a_grpc_status_in_the_head_is_tried_again(methods: list[str] | None, attempts: int) -> None:
    def unavailable_first(asked: Asked) -> None:
        fields = [(":status", "200"), ("content-type", "application/grpc")]
        if asked.connection.requests == 1:
            asked.connection.h2.send_headers(asked.stream, [*fields, ("grpc-status", "14")], end_stream=True)
        else:
            asked.connection.h2.send_headers(asked.stream, fields)
            asked.connection.h2.send_headers(asked.stream, [("grpc-status", "0")], end_stream=True)
        asked.connection.flush()

    retries = {"attempts": 3, "backoff": "off", "on": ["grpc_unavailable"], **({"methods": methods} if methods else {})}
    with gateway_to(unavailable_first, retries=retries) as (served, behind):
        status, _ = ask(served, "POST", body=b"\0\0\0\0\0", **{"Content-Type": "application/grpc"})
        assert status == 200
        assert sum(connection.requests for connection in behind.connections) == attempts


def test_the_loser_of_a_hedge_is_reset() -> None:
    def silent_first(asked: Asked) -> None:
        if asked.connection.requests > 1:
            asked.answer(200, b"second")

    with gateway_to(silent_first, hedging={"after": "50ms", "budget": 1}) as (served, behind):
        assert ask(served) == (200, b"second")
        assert behind.wait(lambda: behind.connections[0].resets == [1])
        assert ask(served) == (200, b"second")
        assert [connection.requests for connection in behind.connections] == [3], "the connection stays"
