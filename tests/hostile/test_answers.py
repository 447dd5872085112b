"""Answers that two readers could take for two things: 502, and the connection to the service is done with."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import DEADLINE, Connection

OK = "HTTP/1.1 200 OK\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"

ANSWERS = {
    "two lengths that differ": OK + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths that agree": OK + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": OK + "Content-Length: 2, 2\r\n\r\nab",
    "a length with a sign": OK + "Content-Length: +2\r\n\r\nab",
    "a length with chunked": OK + "Content-Length: 2\r\n" + CHUNKED + "\r\n0\r\n\r\n",
    "an unknown coding": OK + "Transfer-Encoding: gzip\r\n\r\nab",
    "chunked twice": OK + CHUNKED + CHUNKED + "\r\n0\r\n\r\n",
    "chunked over HTTP/1.0": "HTTP/1.0 200 OK\r\n" + CHUNKED + "\r\n0\r\n\r\n",
    "a bare LF": OK + "X: a\nY: b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": OK + "X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "a NUL": OK + "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a folded line": OK + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + "Content-Length : 2\r\n\r\nab",
    "an empty name": OK + ": a\r\nContent-Length: 0\r\n\r\n",
    "a body with 204": "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab",
    "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of 600": "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "another version": "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP at all": "hello, who is there?\r\n\r\n",
    "HTTP/0.9": "<html>hello</html>",
    "a switch that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in ANSWERS.items()])
def test_the_client_gets_502_and_the_connection_is_not_used_again(
    proxy: Proxy, upstream: StartUpstream, answer: str
) -> None:
    service = upstream()

    def play(connection: Connection) -> None:
        while connection.request() is not None:
            first = service.connections == 1
            connection.send(answer if first else OK + "Content-Length: 2\r\n\r\nok")

    gateway = proxy(service.script(play))
    refused = gateway.post("/x", b"body")
    assert (refused.status, refused.code) == (502, "upstream_malformed")
    assert "127.0.0.1" not in refused.text, "no internal address is told"
    service.wait_for_closed(1)
    assert gateway.get("/after").text == "ok"
    assert service.connections == 2


def test_interim_answers_without_an_end_are_cut(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer("HTTP/1.1 103 Early Hints\r\n\r\n" * 40)
    with proxy(service).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        interims = 0
        while (status := client.read_answer()[0]) == 103:
            interims += 1
        assert status == 502
        assert 0 < interims < 40


def test_a_head_that_does_not_end_is_cut(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer(OK + "".join(f"X-{n}: {'y' * 100}\r\n" for n in range(1000)) + "\r\n")
    refused = proxy(service).post("/x", b"body")
    assert (refused.status, refused.code) == (502, "upstream_head_too_large")


BROKEN_CHUNKS = ["zz\r\nab", "2\r\nabc", "2\nab\r\n", "-1\r\n", "2\r\nab\r\n0\r\nA : b\r\n\r\n"]


@pytest.mark.parametrize("body", BROKEN_CHUNKS)
def test_a_broken_chunk_cuts_the_answer_off(proxy: Proxy, upstream: StartUpstream, body: str) -> None:
    begun = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        connection.send(OK + CHUNKED + "\r\n5\r\nhello\r\n")
        begun.wait(DEADLINE)
        connection.send(body)
        connection.hang()

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"hello")
        begun.set()
        assert not client.read_all().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("body", BROKEN_CHUNKS[:4])
def test_a_broken_chunk_behind_the_head_is_a_502(proxy: Proxy, upstream: StartUpstream, body: str) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send(OK + CHUNKED + "\r\n5\r\nhello\r\n" + body)
        connection.hang()

    refused = proxy(upstream().script(play)).get("/x")
    assert (refused.status, refused.code) == (502, "upstream_malformed")


def test_bytes_behind_an_answer_are_nobodys(proxy: Proxy, upstream: StartUpstream) -> None:
    """The answer to a request that was never asked must not become that of the next."""
    forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    service = upstream().answer(OK + "Content-Length: 2\r\n\r\nok" + forged, OK + "Content-Length: 4\r\n\r\ntrue")
    gateway = proxy(service)
    assert gateway.get("/x").text == "ok"
    assert gateway.get("/y").text == "true"
    assert service.connections == 2


def test_an_answer_to_head_with_a_body_does_not_bleed_into_the_next(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer(OK + "Content-Length: 6\r\n\r\nforged", OK + "Content-Length: 4\r\n\r\ntrue")
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer(head=True)[1]["content-length"] == "6"
        client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer()[2] == b"true"
