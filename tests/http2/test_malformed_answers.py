"""Answers of HTTP/2 services that are not valid HTTP: the client gets 502, and nothing of them."""

from __future__ import annotations

import http.client
import struct
from contextlib import suppress

import hpack
import pytest

from tests.http2.service import Asked
from tests.http2.test_http2_services import ask, code, gateway_to

END_STREAM, END_HEADERS = 0x1, 0x4
DATA, HEADERS = 0x0, 0x1

Fields = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def raw_answer(asked: Asked, *frames: bytes) -> None:
    """Sends frames as they are, past the checks of h2."""
    connection = asked.connection
    connection.flush()
    with connection.lock:
        connection.socket.sendall(b"".join(frames))


def head(asked: Asked, fields: Fields, *, end: bool = True) -> bytes:
    block = hpack.Encoder().encode(fields, huffman=False)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), asked.stream, block)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"content-type", b"text/plain")], id="no-status"),
        pytest.param([(b":status", b"abc")], id="status-in-letters"),
        pytest.param([(b":status", b"20")], id="status-of-two-digits"),
        pytest.param([(b":status", b"200"), (b":status", b"204")], id="status-twice"),
        pytest.param([(b"x", b"1"), (b":status", b"200")], id="status-behind-a-field"),
        pytest.param([(b":status", b"200"), (b"X-Upper", b"1")], id="name-in-upper-case"),
        pytest.param([(b":status", b"200"), (b"x thing", b"1")], id="space-in-a-name"),
        pytest.param([(b":status", b"200"), (b"x", b"a\r\nset-cookie: b")], id="line-end-in-a-value"),
        pytest.param([(b":status", b"200"), (b"x", b"a\nb")], id="lf-in-a-value"),
        pytest.param([(b":status", b"200"), (b"x", b"a\0b")], id="nul-in-a-value"),
        pytest.param([(b":status", b"200"), (b"connection", b"close")], id="connection"),
        pytest.param([(b":status", b"200"), (b"transfer-encoding", b"chunked")], id="transfer-encoding"),
        pytest.param([(b":status", b"200"), (b"content-length", b"x")], id="length-in-letters"),
        pytest.param([(b":status", b"101")], id="switching-protocols"),
        pytest.param([(b":status", b"600")], id="status-out-of-range"),
    ],
)
def test_a_head_that_is_not_valid_is_answered_with_502(fields: Fields) -> None:
    with gateway_to(lambda asked: raw_answer(asked, head(asked, fields))) as (served, _):
        answer = ask(served)
    assert answer[0] == 502, answer
    assert code(answer)[1].startswith("upstream_")


def test_pseudo_fields_of_requests_are_not_passed_on() -> None:
    fields = [(b":status", b"200"), (b":path", b"/elsewhere")]
    with gateway_to(lambda asked: raw_answer(asked, head(asked, fields))) as (served, _):
        client = http.client.HTTPConnection(*served.address(), timeout=10)
        client.request("GET", "/")
        answer = client.getresponse()
        assert answer.status == 200
        assert not [name for name, _ in answer.getheaders() if "path" in name.lower()]
        client.close()


# Where the frames come apart, the head may have gone on before: then the answer is cut off.
def test_less_than_the_length_says_is_a_502_or_cuts_the_answer_off() -> None:
    def script(asked: Asked) -> None:
        fields = [(b":status", b"200"), (b"content-length", b"10")]
        raw_answer(asked, head(asked, fields, end=False), frame(DATA, END_STREAM, asked.stream, b"abc"))

    with gateway_to(script) as (served, _), suppress(ConnectionResetError, http.client.IncompleteRead):
        assert ask(served)[0] == 502


def test_data_before_a_head_is_answered_with_502() -> None:
    with gateway_to(lambda asked: raw_answer(asked, frame(DATA, END_STREAM, asked.stream, b"abc"))) as (served, _):
        assert ask(served)[0] == 502
