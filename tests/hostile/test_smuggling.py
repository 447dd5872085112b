"""Pairs of readers: what one would take for a body and another for a request never reaches the service as a request."""

from __future__ import annotations

import pytest

from tests.hostile.conftest import Stage

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n"


POST = "POST /x HTTP/1.1\r\nHost: a\r\n"
GET = "GET /x HTTP/1.1\r\nHost: a\r\n"
TE = "Transfer-Encoding: chunked\r\n"
CLOSE = "Connection: close\r\n"
LENGTH = f"Content-Length: {len(SMUGGLED)}\r\n"
AS_CHUNKS = f"{chunk(SMUGGLED)}0\r\n\r\n"

ATTEMPTS = {
    "CL.TE": POST + f"Content-Length: {5 + len(SMUGGLED)}\r\n" + TE + "\r\n0\r\n\r\n" + SMUGGLED,
    "TE.CL": POST + "Content-Length: 4\r\n" + TE + "\r\n" + AS_CHUNKS,
    "TE.TE with a second, unknown one": POST + TE + "Transfer-Encoding: cow\r\n\r\n" + AS_CHUNKS,
    "TE.TE with a tab": POST + "Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n" + AS_CHUNKS,
    "TE behind an obsolete fold": POST + "X: y\r\n " + TE + "Content-Length: 4\r\n\r\n" + AS_CHUNKS,
    "TE behind a bare LF": POST + "X: y\n" + TE + "Content-Length: 4\r\n\r\n" + AS_CHUNKS,
    "CL.CL": POST + "Content-Length: 0\r\n" + LENGTH + "\r\n" + SMUGGLED,
    "chunked over HTTP/1.0": "POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + TE + "\r\n" + AS_CHUNKS,
    "framing in trailers": POST + TE + CLOSE + "\r\n0\r\n" + LENGTH + "\r\n" + SMUGGLED,
    "a length that a connection option names": POST
    + "Connection: close, content-length\r\n"
    + LENGTH
    + "\r\n"
    + SMUGGLED,
    "a coding that a connection option names": POST
    + "Connection: close, transfer-encoding\r\n"
    + TE
    + "\r\n"
    + AS_CHUNKS,
    "a body for GET": GET + CLOSE + LENGTH + "\r\n" + SMUGGLED,
    "an extension that looks like an end": POST
    + CLOSE
    + TE
    + f'\r\n{len(SMUGGLED):x};a="\\""\r\n{SMUGGLED}\r\n0\r\n\r\n',
    "a chunk size with leading zeros": POST + CLOSE + TE + f"\r\n00000{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n",
    "an upgrade to h2c": GET
    + "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
    + SMUGGLED,
    "an upgrade that is refused": GET + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("attempt", [pytest.param(attempt, id=name) for name, attempt in ATTEMPTS.items()])
def test_the_service_never_sees_the_second_request(stage: Stage, attempt: str) -> None:
    with stage.send(attempt.encode()) as client:
        answers = client.read_all()
    assert answers.count(b"HTTP/1.1 ") == 1, answers
    assert stage.gateway.get("/after").text == "ok"
    assert [target for target in stage.witness.targets if target not in ("/x", "/before", "/after")] == []
    assert stage.witness.targets[-1] == "/after"


def test_framing_is_rebuilt_and_extensions_do_not_travel(stage: Stage) -> None:
    message = POST + "Transfer-Encoding: Chunked\r\n\r\n00002;a=b\r\nab\r\n1;c\r\nd\r\n000;e=f\r\n\r\n"
    with stage.send(message.encode()) as client:
        assert client.read_answer()[0] == 200
    seen = stage.witness.upstream.last
    assert seen.body == b"abd"
    assert b";" not in seen.raw.partition(b"\r\n\r\n")[2]
    assert [name for name, _ in seen.fields if name in ("content-length", "transfer-encoding")] == ["transfer-encoding"]
    stage.assert_in_step()


def test_framing_fields_in_trailers_do_not_travel(stage: Stage) -> None:
    message = (
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        "Content-Length: 9\r\nHost: b\r\nAuthorization: c\r\nX-Sum: 1\r\n\r\n"
    )
    with stage.send(message.encode()) as client:
        assert client.read_answer()[0] == 200
    tail = stage.witness.upstream.last.raw.partition(b"0\r\n")[2].lower()
    assert b"x-sum: 1" in tail
    assert not any(name in tail for name in (b"content-length", b"host", b"authorization"))
    stage.assert_in_step()


def test_h2c_is_not_offered_to_the_service(stage: Stage) -> None:
    """A service that switched would be open to the client past every route and policy."""
    for protocol in ("h2c", "websocket, h2c", "H2C", "HTTP/2.0", "TLS/1.2"):
        message = f"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        with stage.send(message.encode()) as client:
            assert client.read_answer()[0] == 200
        fields = dict(stage.witness.upstream.last.fields)
        assert not {"upgrade", "connection"} & fields.keys(), protocol


def test_connection_options_take_their_fields_along_but_not_what_protects(stage: Stage) -> None:
    message = (
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: x-hop, authorization, x-forwarded-for, host, cookie\r\n"
        "X-Hop: 1\r\nAuthorization: secret\r\nCookie: c=1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: gzip\r\n"
        "Proxy-Authorization: x\r\nTrailer: a\r\n\r\n"
    )
    with stage.send(message.encode()) as client:
        assert client.read_answer()[0] == 200
    fields = dict(stage.witness.upstream.last.fields)
    gone = {"connection", "x-hop", "keep-alive", "proxy-connection", "te", "proxy-authorization", "trailer", "upgrade"}
    assert not gone & fields.keys()
    assert (fields["authorization"], fields["cookie"]) == ("secret", "c=1")
    assert "x-forwarded-for" in fields


def test_garbage_behind_a_message_is_refused_after_its_answer(stage: Stage) -> None:
    with stage.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGARBAGE\r\n\r\n") as client:
        assert client.read_answer()[0] == 200
        assert client.read_answer()[0] == 400
        assert client.is_closed()
    stage.assert_in_step()
