"""A listener that asks for the PROXY protocol believes it, and takes no connection without it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from tidegate import Gateway, Listener, Respond, Route

from tests.harness import RunningGateway, serving

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H4s4sHH", 12, bytes([192, 0, 2, 9]), bytes([198, 51, 100, 7]), 1111, 443)


@pytest.fixture(scope="module")
def served() -> Iterator[RunningGateway]:
    listener = Listener(address="127.0.0.1:0", proxy_protocol=True)
    route = Route(name="who", paths=["/"], respond=Respond(body="{client.ip}"))
    with serving(Gateway(listeners=[listener], routes=[route])) as served:
        yield served


def ask(served: RunningGateway, *pieces: bytes) -> bytes:
    with socket.create_connection(served.address()) as client:
        client.settimeout(10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        answer = b""
        try:
            while more := client.recv(4096):
                answer += more
        except ConnectionError:
            return b""
        return answer.split(b"\r\n\r\n")[-1]


REQUEST = b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 192.0.2.9 198.51.100.7 1111 443\r\n", b"192.0.2.9"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::7 1111 443\r\n", b"2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
        (V2, b"192.0.2.9"),
        (SIGNATURE + b"\x20\x00\0\0", b"127.0.0.1"),
    ],
)
def test_the_client_is_who_the_proxy_says(served: RunningGateway, header: bytes, address: bytes) -> None:
    assert ask(served, header + REQUEST) == address
    assert ask(served, *(bytes([byte]) for byte in header), REQUEST) == address


@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.9\r\n", b"PROXY \r\n", SIGNATURE + b"\x31\x11\0\0"])
def test_a_connection_without_a_header_is_closed(served: RunningGateway, header: bytes) -> None:
    assert ask(served, header + REQUEST) == b""
