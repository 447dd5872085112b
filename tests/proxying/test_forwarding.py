"""One request and its answer, as they should be on the other side."""

from __future__ import annotations

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import Connection


def test_method_target_headers_and_body_arrive(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    answer = proxy(service).request("PUT", "/a/b?c=d&e", headers={"X-Thing": "1", "Accept": "*/*"}, body=b"body")
    assert (answer.status, answer.text) == (200, "ok")
    seen = service.last
    assert (seen.method, seen.target, seen.body) == ("PUT", "/a/b?c=d&e", b"body")
    assert (seen.header("x-thing"), seen.header("accept"), seen.header("content-length")) == ("1", "*/*", "4")
    assert seen.header("host") == service.url.removeprefix("http://")


def test_repeated_fields_keep_their_order(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )
    with proxy(service).raw() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n")
        head = client.read_until(b"\r\n\r\n").lower()
    assert [value for name, value in service.last.fields if name in ("x-a", "x-b")] == ["1", "2", "3"]
    assert head.index(b"set-cookie: a=1") < head.index(b"set-cookie: b=2")


def test_an_absolute_target_goes_upstream_as_a_path(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with proxy(service).raw() as client:
        client.send("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer()[0] == 200
    assert service.last.target == "/x?y"


@pytest.mark.parametrize(
    ("method", "answer", "fields"),
    [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", {"content-length": "42"}),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {}),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", {}),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", {}),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\nETag: x\r\n\r\n",
            {"content-length": "42", "etag": "x"},
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", {"etag": "x"}),
    ],
)
def test_an_answer_without_a_body_leaves_both_connections_in_step(
    proxy: Proxy, upstream: StartUpstream, method: str, answer: str, fields: dict[str, str]
) -> None:
    service = upstream().answer(answer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
    with proxy(service).raw() as client:
        client.send(f"{method} /x HTTP/1.1\r\nHost: a\r\n\r\n")
        _, headers, _ = client.read_answer(head=True)
        framing = {name: headers[name] for name in ("content-length", "transfer-encoding", "etag") if name in headers}
        assert framing == fields
        client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer()[2] == b"next"
    assert service.connections == 1


@pytest.mark.parametrize("connection", ["", "Connection: close\r\n"])
def test_a_client_of_http_1_0_gets_what_it_can_read(proxy: Proxy, upstream: StartUpstream, connection: str) -> None:
    service = upstream().answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    with proxy(service).raw() as client:
        client.send(f"GET /x HTTP/1.0\r\nHost: a\r\n{connection}\r\n")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"abcde"


def test_a_client_of_http_1_0_may_keep_its_connection(proxy: Proxy, upstream: StartUpstream) -> None:
    with proxy(upstream()).raw() as client:
        for _ in range(2):
            client.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n")
            _, headers, body = client.read_answer()
            assert (headers["connection"], body) == ("keep-alive", b"ok")


def test_a_service_of_http_1_0_is_understood(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end")
    gateway = proxy(service)
    assert gateway.get("/x").text == "until the end"
    assert gateway.get("/x").text == "until the end"
    assert service.connections == 2


def test_trailers_travel_both_ways(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Down: 1\r\n\r\n"
    )
    with proxy(service).raw() as client:
        client.send(
            "POST /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        client.send("2\r\nhi\r\n0\r\nX-Up: 1\r\n\r\n")
        client.read_head()
        assert client.read_until(b"\r\n\r\n").lower() == b"2\r\nok\r\n0\r\nx-down: 1\r\n\r\n"
    assert service.last.raw.lower().endswith(b"0\r\nx-up: 1\r\n\r\n")
    assert service.last.header("te") == "trailers"


def test_interim_answers_are_passed_on(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head() == (103, {"link": "</a>"})
        assert client.read_answer()[2] == b"ok"
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n")
        assert client.read_head()[0] == 200, "not to a client of HTTP/1.0 (RFC 9110 section 15.2)"


def test_an_interim_answer_goes_before_the_final_one_is_there(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 103 Early Hints\r\n\r\n")
        connection.hang()

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head()[0] == 103
