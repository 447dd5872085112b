"""The codec beside llhttp: what we accept, llhttp refuses or reads as the same message.

The messages come from the generator of the codec's own tests, through the `parse` example of the crate: with a fixed
seed, mostly near the edge of being valid. `HTTP1_TEST_EFFORT=20` hunts twenty times as long.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools
import pytest

ROOT = Path(__file__).resolve().parents[2]
EFFORT = int(os.environ.get("HTTP1_TEST_EFFORT", "1"))


@pytest.fixture(scope="session")
def tool() -> Path:
    """The path of the `parse` example, built once."""
    command = "cargo build --quiet --package tidegate-http1 --example parse --message-format=json"
    built = subprocess.run(command.split(), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    artifacts = (json.loads(line) for line in built.stdout.splitlines())
    paths = [artifact["executable"] for artifact in artifacts if artifact.get("target", {}).get("name") == "parse"]
    assert paths, "cargo names the executable it built"
    return Path(paths[-1])


@dataclass
class Seen:
    """A message as llhttp's callbacks tell it."""

    start: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    keep_alive: bool | None = None
    in_body: bool = False
    complete: bool = False


class Peer:
    """What llhttp makes of the bytes of one connection."""

    def __init__(self, kind: str, data: bytes) -> None:
        self.messages: list[Seen] = []
        self.refused: Exception | None = None
        self.upgraded = False
        self.kind = kind
        parsers = {"request": httptools.HttpRequestParser, "response": httptools.HttpResponseParser}
        self.parser: Any = parsers[kind](self)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgraded = True
        except httptools.HttpParserError as error:
            self.refused = error

    def on_message_begin(self) -> None:
        self.messages.append(Seen())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].start += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        seen = self.messages[-1]
        # llhttp leaves the white space behind a value to its caller (RFC 9112 section 5.1).
        (seen.trailers if seen.in_body else seen.fields).append((name, (value or b"").rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        seen = self.messages[-1]
        version = b"HTTP/" + self.parser.get_http_version().encode()
        if self.kind == "request":
            seen.start = b" ".join([self.parser.get_method(), seen.start, version])
        else:
            seen.start = version + b" " + str(self.parser.get_status_code()).encode()
        seen.keep_alive = self.parser.should_keep_alive()
        seen.in_body = True

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True


def pairs(fields: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(bytes.fromhex(name), bytes.fromhex(value)) for name, value in fields]


def ours(message: dict[str, Any], kind: str) -> Seen:
    start = bytes.fromhex(message["start"])
    return Seen(
        # llhttp gives no reason phrase in one piece with the status.
        start=start if kind == "request" else start[:12],
        fields=pairs(message["fields"]),
        trailers=pairs(message["trailers"]),
        body=bytes.fromhex(message["body"]),
        keep_alive=message["keep_alive"],
    )


def difference(connection: dict[str, Any], kind: str) -> str | None:
    """What llhttp reads otherwise than we do; nothing where it refuses or agrees."""
    peer = Peer(kind, bytes.fromhex(connection["bytes"]))
    for place, message in enumerate(connection["messages"]):
        mine = ours(message, kind)
        theirs = peer.messages[place] if place < len(peer.messages) else None
        if theirs is None or not (theirs.complete or closes(message)):
            return None if peer.refused else f"message {place}: llhttp waits, we have {mine}"
        names = ["start", "fields"]
        if switches := peer.upgraded and theirs is peer.messages[-1]:
            if not has(mine, b"upgrade"):
                return f"message {place}: llhttp switches protocols, nobody asked for it"
        else:
            # Where we pass an upgrade over, since a body comes with it, llhttp takes the body for the next protocol.
            names += ["trailers", "body"]
        for name in names:
            if getattr(mine, name) != getattr(theirs, name):
                return f"message {place}, {name}: we have {getattr(mine, name)!r}, llhttp {getattr(theirs, name)!r}"
        if switches:
            return None
        # llhttp obeys Proxy-Connection too, which no RFC asks for.
        if mine.keep_alive and not theirs.keep_alive and not has(mine, b"proxy-connection"):
            return f"message {place}: we keep the connection, llhttp closes it"
    return None


def closes(message: dict[str, Any]) -> bool:
    """Whether the body lasts until the connection closes, which httptools has no way to tell llhttp."""
    return bool(message["framing"].startswith("Close"))


def has(message: Seen, name: bytes) -> bool:
    return any(sent.lower() == name for sent, _ in message.fields)


def connections(tool: Path, kind: str, seed: int, count: int) -> Iterator[dict[str, Any]]:
    command = [str(tool), "generate", kind, str(seed), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["request", "response"])
def test_what_we_accept_llhttp_reads_alike_or_refuses(tool: Path, kind: str) -> None:
    count = 20_000 * EFFORT
    both = 0
    for connection in connections(tool, kind, seed=41, count=count):
        found = difference(connection, kind)
        assert found is None, f"{found}\n{bytes.fromhex(connection['bytes'])!r}"
        both += bool(connection["messages"]) and not Peer(kind, bytes.fromhex(connection["bytes"])).refused
    # A comparison in which both never accept would prove nothing.
    assert both > count / 20


SMUGGLED = [
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\x00: b\r\n\r\n",
]


def test_smuggled_requests_are_refused(tool: Path) -> None:
    lines = "".join(message.hex() + "\n" for message in SMUGGLED)
    shown = subprocess.run([tool, "request"], input=lines, check=True, capture_output=True, text=True)
    readings = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(readings) == len(SMUGGLED)
    for message, reading in zip(SMUGGLED, readings, strict=True):
        assert reading["messages"] == [], message
        assert reading["ending"] not in ("done", "partial"), message
