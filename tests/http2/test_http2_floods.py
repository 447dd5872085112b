"""Floods cost a client its connection, and nobody else anything."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tidegate import Gateway, Listener, Respond, Route

from tests.harness import RunningGateway, serving
from tests.http2.raw import PREFACE, Raw

ENHANCE_YOUR_CALM = 11
NO_ERROR = 0
LIMITS = {"http2": {"resets": 50, "control_frames": 100}, "head_timeout": "10s", "idle_timeout": "75s"}


@pytest.fixture(scope="module")
def served() -> Iterator[RunningGateway]:
    listener = Listener.model_validate({"address": "127.0.0.1:0", "limits": LIMITS})
    route = Route(name="hello", paths=["/"], respond=Respond(body="hello"))
    with serving(Gateway(listeners=[listener], routes=[route])) as served:
        yield served


def rapid_reset(raw: Raw, index: int) -> bytes:
    stream = 1 + 2 * index
    return raw.head(stream).serialize() + RstStreamFrame(stream, error_code=8).serialize()


def empty_data(raw: Raw, index: int) -> Frame:
    return raw.data(1, b"") if index else raw.head(1, end=False, pseudo={"method": "POST"})


def endless_head(raw: Raw, index: int) -> Frame:
    return ContinuationFrame(1, b"") if index else raw.head(1, whole=False)


FLOODS: dict[str, Callable[[Raw, int], Frame | bytes]] = {
    "ping": lambda raw, index: PingFrame(0, b"12345678"),
    "settings": lambda raw, index: SettingsFrame(0, {4: 65535}),
    "priority": lambda raw, index: PriorityFrame(1 + 2 * index, depends_on=0, stream_weight=1),
    "window_update": lambda raw, index: WindowUpdateFrame(0, window_increment=1),
    "unknown": lambda raw, index: b"\0\0\0\x42\0\0\0\0\0",
    "rapid_reset": rapid_reset,
    "empty_data": empty_data,
    "endless_head": endless_head,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_in_goaway(served: RunningGateway, flood: str) -> None:
    with Raw(served.address()) as raw:
        for start in range(0, 2000, 50):
            raw.send(*(FLOODS[flood](raw, start + index) for index in range(50)))
        assert raw.ends_with() == ENHANCE_YOUR_CALM


def test_requests_pay_for_control_frames(served: RunningGateway) -> None:
    with Raw(served.address()) as raw:
        for index in range(300):
            stream = 1 + 2 * index
            raw.send(raw.head(stream), PingFrame(0, b"12345678"), PriorityFrame(stream, depends_on=0, stream_weight=1))
            answer = raw.answer(stream)
            assert isinstance(answer, tuple)
            assert answer[1] == b"hello"


def test_a_slow_head_ends_in_goaway(served: RunningGateway) -> None:
    with Raw(served.address()) as raw:
        raw.greet()
        raw.send(raw.head(1, whole=False))
        # Nothing may follow the frame, so nothing shows that it was read: the time passes until something happens.
        goaways: list[GoAwayFrame] = []
        for _ in range(20):
            if not raw.readable(0.1):
                served.advance(11)
            goaways += [frame for frame in raw.waiting() if isinstance(frame, GoAwayFrame)]
            if goaways:
                break
        assert [frame.error_code for frame in goaways] == [ENHANCE_YOUR_CALM]


def test_a_slow_preface_is_not_waited_for(served: RunningGateway) -> None:
    with socket.create_connection(served.address()) as client:
        client.settimeout(10)
        client.sendall(PREFACE[:10])
        while not select.select([client], [], [], 0.1)[0]:
            served.advance(11)
        assert b" 408 " in client.recv(4096).split(b"\r\n")[0]


def test_an_idle_connection_is_told_goodbye(served: RunningGateway) -> None:
    with Raw(served.address()) as raw:
        raw.send(raw.head(1))
        assert isinstance(raw.answer(1), tuple)
        served.advance(80)
        assert raw.ends_with() == NO_ERROR


def test_a_broken_preface_ends_the_connection(served: RunningGateway) -> None:
    with socket.create_connection(served.address()) as client:
        client.settimeout(10)
        client.sendall(b"INVALID CONNECTION PREFACE\r\n\r\n")
        assert client.recv(100) == b""
