"""Requests that two readers could take for two things: refused, the connection closed, nothing sent on."""

from __future__ import annotations

import json

import pytest

from tests.hostile.conftest import Stage


def get(lines: str, target: str = "/x", method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    return f"{method} {target} {version}\r\n{lines}\r\n".encode("latin-1")


def post(lines: str, body: str, version: str = "HTTP/1.1") -> bytes:
    return f"POST /x {version}\r\nHost: a\r\n{lines}\r\n{body}".encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked\r\n"
HOST = "Host: a\r\n"

FRAMING = {
    "two lengths that differ": post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"),
    "two lengths that agree": post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"),
    "a list of lengths": post("Content-Length: 2, 2\r\n", "ab"),
    "a length with a sign": post("Content-Length: +2\r\n", "ab"),
    "a negative length": post("Content-Length: -2\r\n", "ab"),
    "a length in hex": post("Content-Length: 0x2\r\n", "ab"),
    "a length with a fraction": post("Content-Length: 2.0\r\n", "ab"),
    "an empty length": post("Content-Length: \r\n", ""),
    "a length with a space within": post("Content-Length: 1 2\r\n", "ab"),
    "a length over 64 bits": post("Content-Length: 18446744073709551618\r\n", "ab"),
    "a length with chunked": post("Content-Length: 3\r\n" + CHUNKED, "0\r\n\r\n"),
    "chunked with a length": post(CHUNKED + "Content-Length: 3\r\n", "0\r\n\r\n"),
    "chunked twice": post(CHUNKED + CHUNKED, "0\r\n\r\n"),
    "chunked twice in one": post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    "chunked not last": post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
    "gzip before chunked": post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    "an unknown coding": post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
    "identity": post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "ab"),
    "an empty coding": post("Transfer-Encoding: \r\nContent-Length: 2\r\n", "ab"),
    "chunked with a parameter": post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"),
    "chunked in quotes": post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"),
    "chunked with a vertical tab": post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
    "chunked over HTTP/1.0": post(CHUNKED, "0\r\n\r\n", "HTTP/1.0"),
}

HEADS = {
    "a bare CR in a value": get(HOST + "X: a\rb\r\n"),
    "a bare LF ends a line": get("Host: a\nX: b\r\n"),
    "a bare CR ends a line": get("Host: a\rX: b\r\n"),
    "a NUL in a value": get(HOST + "X: a\0b\r\n"),
    "a NUL in a name": get(HOST + "X\0: a\r\n"),
    "a folded line": get(HOST + "X: a\r\n b\r\n"),
    "a folded line with a tab": get(HOST + "X: a\r\n\tb\r\n"),
    "a folded coding": post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
    "a space before the colon": post("Content-Length : 2\r\n", "ab"),
    "a tab before the colon": post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
    "a space before the first field": get(" X: a\r\n" + HOST),
    "an empty name": get(HOST + ": a\r\n"),
    "a name with a space within": get(HOST + "X Y: a\r\n"),
    "a line without a colon": get(HOST + "nonsense\r\n"),
    "a name with a bracket": get(HOST + "X[1]: a\r\n"),
    "a name with high bytes": get(HOST + "X\xff: a\r\n"),
    "a control character in a value": get(HOST + "X: a\x01b\r\n"),
    "two spaces in the request line": b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the request line": b"GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space behind the version": b"GET /x HTTP/1.1 \r\nHost: a\r\n\r\n",
    "no version": b"GET /x\r\nHost: a\r\n\r\n",
    "a method with a bracket": get(HOST, method="GE(T"),
    "a version in lower case": get(HOST, version="http/1.1"),
    "more connection options than anyone has": get(HOST + "Connection: " + "a," * 65 + "\r\n"),
    "connection options in many lines": get(HOST + "Connection: a, b\r\n" * 33),
    "a broken connection option": get(HOST + "Connection: close, a b\r\n"),
}

HOSTS = {
    "no host": get("X: a\r\n"),
    "two hosts": get(HOST + "Host: b\r\n"),
    "two hosts that agree": get(HOST + HOST),
    "a host with a path": get("Host: a/b\r\n"),
    "a host with a user": get("Host: u@a\r\n"),
    "a host with a space": get("Host: a b\r\n"),
    "a host that is longer than names are": get("Host: " + "a." * 127 + "ab\r\n"),
    "a host list": get("Host: a, b\r\n"),
    "an absolute target for another host": get(HOST, "http://b/x"),
    "an absolute target for another port": get("Host: a:1\r\n", "http://a:2/x"),
    "an absolute target with a user": get(HOST, "http://u@a/x"),
}

TARGETS = {
    "a fragment": get(HOST, "/x#y"),
    "a fragment in the query": get(HOST, "/x?a#y"),
    "a NUL": get(HOST, "/x\0y"),
    "a NUL in escapes": get(HOST, "/x%00y"),
    "a broken escape": get(HOST, "/x%2"),
    "a broken escape at the end": get(HOST, "/x%"),
    "a backslash": get(HOST, "/x\\y"),
    "a control character": get(HOST, "/x\x01y"),
    "a relative path": get(HOST, "x"),
    "an absolute target in another scheme": get(HOST, "ftp://a/x"),
    "a star for GET": get(HOST, "*"),
}

BODIES = {
    "a chunk size that is no number": post(CHUNKED, "zz\r\nab\r\n0\r\n\r\n"),
    "a chunk size with a prefix": post(CHUNKED, "0x2\r\nab\r\n0\r\n\r\n"),
    "a chunk size with a sign": post(CHUNKED, "+2\r\nab\r\n0\r\n\r\n"),
    "a chunk size with a space before": post(CHUNKED, " 2\r\nab\r\n0\r\n\r\n"),
    "a chunk size over 64 bits": post(CHUNKED, "10000000000000002\r\nab\r\n0\r\n\r\n"),
    "an empty chunk size": post(CHUNKED, "\r\nab\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": post(CHUNKED, "2\r\nabc\r\n0\r\n\r\n"),
    "a chunk size line that ends in LF": post(CHUNKED, "2\nab\r\n0\r\n\r\n"),
    "a chunk that ends in LF": post(CHUNKED, "2\r\nab\n0\r\n\r\n"),
    "a chunk size line with a bare CR": post(CHUNKED, "2\rab\r\n0\r\n\r\n"),
    "an extension with a LF": post(CHUNKED, "2;a\nb\r\nab\r\n0\r\n\r\n"),
    "an extension with a NUL": post(CHUNKED, "2;a=\0\r\nab\r\n0\r\n\r\n"),
    "a trailer that is folded": post(CHUNKED, "0\r\nA: b\r\n c\r\n\r\n"),
    "a trailer with a space before the colon": post(CHUNKED, "0\r\nA : b\r\n\r\n"),
    "extensions without an end": post(CHUNKED, "2;" + "a" * 20_000 + "\r\nab\r\n0\r\n\r\n"),
}


def cases(table: dict[str, bytes], *codes: str) -> list[object]:
    return [pytest.param(message, codes, id=name) for name, message in table.items()]


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        *cases(FRAMING, "bad_framing", "malformed_request"),
        *cases(HEADS, "malformed_request", "bad_framing", "bad_host"),
        *cases(HOSTS, "bad_host", "malformed_request"),
        *cases(TARGETS, "malformed_request", "bad_path"),
        *cases(BODIES, "bad_body"),
    ],
)
def test_it_is_refused_with_400_and_nothing_goes_to_the_service(
    stage: Stage, message: bytes, codes: tuple[str, ...]
) -> None:
    before = stage.witness.raw
    with stage.send(message + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n") as client:
        status, headers, body = client.read_answer()
        assert status == 400, body
        assert json.loads(body)["code"] in codes
        assert headers["connection"] == "close"
        assert client.is_closed(), "what follows must not be read as a request"
    assert stage.witness.raw == before
    if message not in BODIES.values():
        stage.assert_in_step()
    else:
        # The connection that was taken for it is not used again: its request was never sent.
        assert stage.gateway.get("/after").text == "ok"
        assert stage.witness.targets == ["/before", "/after"]


@pytest.mark.parametrize("table", [FRAMING, HEADS, HOSTS, TARGETS], ids=["framing", "heads", "hosts", "targets"])
def test_it_is_refused_when_it_comes_byte_by_byte_too(stage: Stage, table: dict[str, bytes]) -> None:
    before = stage.witness.raw
    for name, message in table.items():
        with stage.gateway.raw() as client:
            try:
                for at in range(len(message)):
                    client.send(message[at : at + 1])
            except OSError:
                pass  # refused before the end
            assert client.read_all().startswith(b"HTTP/1.1 400 "), name
    assert stage.witness.raw == before


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        pytest.param(get("Host: a:443\r\n", "a:443", "CONNECT"), 405, "connect_refused", id="CONNECT"),
        pytest.param(get(HOST, version="HTTP/2.0"), 505, "unsupported_version", id="HTTP/2.0 by hand"),
        pytest.param(get(HOST, version="HTTP/1.2"), 505, "unsupported_version", id="HTTP/1.2"),
        pytest.param(
            post("Expect: the moon\r\nContent-Length: 2\r\n", "ab"),
            417,
            "expectation_failed",
            id="an unknown expectation",
        ),
    ],
)
def test_what_has_a_status_of_its_own_says_it_and_closes(stage: Stage, message: bytes, status: int, code: str) -> None:
    with stage.send(message) as client:
        seen, headers, body = client.read_answer()
        assert (seen, json.loads(body)["code"], headers["connection"]) == (status, code, "close")
        assert client.is_closed()
    stage.assert_in_step()
