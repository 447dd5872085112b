"""WebSockets that handlers and applications answer."""

from __future__ import annotations

import logging

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.asgi import sockets
from tests.conftest import StartGateway
from tests.harness import RunningGateway, eventually

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    sockets.events.clear()
    module = sockets.__name__
    return gateway(
        {
            "routes": [
                {"name": "chat", "paths": ["/chat/{room}"], "handler": f"{module}:chat"},
                {"name": "refuses", "paths": ["/refuses"], "handler": f"{module}:refuses"},
                {"name": "fails", "paths": ["/fails"], "handler": f"{module}:fails"},
                {"name": "raw", "paths": ["/raw"], "app": f"{module}:raw"},
                {"name": "bff", "paths": ["/bff"], "app": f"{module}:bff"},
            ]
        }
    )


def joined(running: RunningGateway, path: str, *subprotocols: str) -> ClientConnection:
    host, port = running.address()
    offered = [Subprotocol(name) for name in subprotocols] or None
    return connect(f"ws://{host}:{port}{path}", subprotocols=offered, proxy=None, max_size=None)


def test_a_handler_talks(running: RunningGateway) -> None:
    with joined(running, "/chat/sea", "v2", "v1") as client:
        assert client.subprotocol == "v2"
        assert client.response is not None
        assert client.response.headers["x-thing"] == "1"
        client.send("ahoy")
        assert client.recv() == "sea: ahoy"
        client.send(b"\x00\xff")
        assert client.recv() == b"\x00\xff"
    eventually(lambda: sockets.events == ["over"], "the end")


def test_a_handler_closes_with_a_code(running: RunningGateway) -> None:
    with joined(running, "/chat/sea") as client:
        client.send("bye")
        with pytest.raises(ConnectionClosed) as raised:
            client.recv()
    assert raised.value.rcvd is not None
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (4000, "as you wish")


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 3_000_000])
def test_messages_of_any_length_pass(running: RunningGateway, size: int) -> None:
    with joined(running, "/raw") as client:
        client.send(b"x" * size)
        assert client.recv() == b"x" * size


def test_a_message_in_fragments_is_put_together(running: RunningGateway) -> None:
    with joined(running, "/raw") as client:
        client.send(["é"[:1], "on", "e"])
        assert client.recv() == "éone"


def test_an_application_talks(running: RunningGateway) -> None:
    with joined(running, "/raw/deeper", "a", "b") as client:
        assert client.subprotocol == "b"
        client.send("text")
        assert client.recv() == "text"
        client.close(4001, "enough")
    eventually(lambda: sockets.events, "the end")
    assert sockets.events == [(4001, "enough", "/raw", "ws")]


def test_fastapi_talks(running: RunningGateway) -> None:
    with joined(running, "/bff/echo/ann") as client:
        client.send('{"a": 1}')
        assert client.recv() == '{"ann":{"a":1}}'
    eventually(lambda: sockets.events == [1000], "the end")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/refuses", 403, b""), ("/raw/close", 403, b""), ("/raw/deny", 418, b"no coffee")],
)
def test_a_websocket_may_be_refused(running: RunningGateway, path: str, status: int, body: bytes) -> None:
    with pytest.raises(InvalidStatus) as raised, joined(running, path):
        pass
    assert raised.value.response.status_code == status
    assert raised.value.response.body == body


def test_a_failure_closes_with_1011(running: RunningGateway, caplog: pytest.LogCaptureFixture) -> None:
    with joined(running, "/fails") as client, pytest.raises(ConnectionClosed) as raised:
        client.recv()
    assert raised.value.rcvd is not None
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (1011, "")
    assert [record.levelno for record in caplog.records if record.name == "tidegate.handlers"] == [logging.ERROR]


def test_a_client_that_is_cut_off_is_noticed(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send(UPGRADE.format(path="/raw"))
        assert raw.read_head()[0] == 101
        raw.reset()
    eventually(lambda: sockets.events, "the end")
    assert sockets.events[0][0] == 1006


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x01a", 1002),  # not masked
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # not UTF-8
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # no such opcode
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # nothing to go on with
        (b"\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00", 1009),  # 2 GiB
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # reserved bit
    ],
)
def test_frames_that_break_the_rules_end_it(running: RunningGateway, frame: bytes, code: int) -> None:
    with running.raw() as raw:
        raw.send(UPGRADE.format(path="/raw"))
        status, headers = raw.read_head()
        assert (status, headers["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        raw.send(frame)
        assert raw.read_exactly(1) == b"\x88"
        length = raw.read_exactly(1)[0]
        assert int.from_bytes(raw.read_exactly(length)[:2]) == code
        assert raw.is_closed()


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("Version: 13", "Version: 8", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
    ],
)
def test_a_handshake_that_breaks_the_rules_is_refused(
    running: RunningGateway, before: str, after: str, status: int
) -> None:
    for path in ("/raw", "/chat/sea"):
        with running.raw() as raw:
            raw.send(UPGRADE.format(path=path).replace(before, after))
            assert raw.read_head()[0] == status


def test_a_request_without_an_upgrade_is_told_of_it(running: RunningGateway) -> None:
    assert running.get("/chat/sea").status == 426


def test_a_drain_closes_with_1001(running: RunningGateway) -> None:
    with joined(running, "/chat/sea") as one, joined(running, "/raw") as other:
        one.send("ahoy")
        one.recv()
        assert running.drain(10_000)
        for client in (one, other):
            with pytest.raises(ConnectionClosed) as raised:
                client.recv()
            assert raised.value.rcvd is not None
            assert raised.value.rcvd.code == 1001
