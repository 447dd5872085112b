"""A gateway before a service that echoes what it got, byte for byte, and a client that sends what no library would."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from tidegate import load
from tidegate._native import Engine

Fields = Sequence[tuple[str, str]]


@dataclass
class Echo:
    """A request as the service got it."""

    method: str
    target: str
    fields: list[list[str]]
    trailers: list[list[str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.fields]

    def values(self) -> list[str]:
        return [value for _, value in self.fields]


@dataclass
class Answer:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def echo(self) -> Echo:
        return Echo(**self.json())


class Running:
    """A gateway before the echo service."""

    def __init__(self, document: Callable[..., dict[str, Any]], folder: Path, policies: dict[str, Any], **changes: Any):
        self._document = document
        self._file = folder / f"{id(self)}.json"
        self._engine = Engine(self._plan(policies, **changes), workers=changes.get("workers", 2))

    def _plan(self, policies: dict[str, Any], **changes: Any) -> bytes:
        self._file.write_text(json.dumps(self._document(policies, **changes)))
        return load(self._file).plan

    def address(self) -> tuple[str, int]:
        ((_, _, _, bound),) = self._engine.listeners()
        assert bound is not None
        return bound

    def reload(self, policies: dict[str, Any], **changes: Any) -> None:
        self._engine.reload(self._plan(policies, **changes))

    def metrics(self, accept: str = "") -> tuple[str, str]:
        return self._engine.metrics(accept)

    def advance(self, seconds: int) -> None:
        self._engine.advance(seconds * 1000)

    def stop(self, patience: float = 5) -> None:
        self._engine.drain(round(patience * 1000))
        self._engine.stop()


Start = Callable[..., Running]


def ask(
    gateway: Running,
    method: str = "GET",
    target: str = "/",
    headers: Fields = (),
    body: bytes = b"",
    version: str = "HTTP/1.1",
) -> Answer:
    """One request on a connection of its own; names and values go out as they are."""
    lines = [f"{method} {target} {version}"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append("Host: gateway.example")
    lines += [f"{name}: {value}" for name, value in headers]
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        response = HTTPResponse(client, method=method)
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())


ANSWERS: dict[str, list[tuple[str, str]]] = {
    "/via": [("Via", "1.1 upstream")],
    "/request-id": [("X-Request-Id", "of-the-service")],
    "/fields": [("Server", "echo"), ("Cache-Control", "public"), ("Cache-Control", "max-age=9"), ("Vary", "accept")],
}


class EchoService:
    """HTTP/1.1 by hand, so that nothing between the socket and the test changes a header."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.hanging = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while self._answer(connection, stream):
                    pass
        except OSError:
            return

    def _answer(self, connection: socket.socket, stream: Any) -> bool:
        line = stream.readline().decode().split()
        if len(line) != 3:
            return False
        fields, trailers = _read_fields(stream), []
        lower = {name.lower(): value for name, value in fields}
        if lower.get("transfer-encoding") == "chunked":
            while size := int(stream.readline(), 16):
                stream.read(size + 2)
            trailers = _read_fields(stream)
        else:
            stream.read(int(lower.get("content-length", 0)))
        framing = {"content-length", "transfer-encoding", "te"}
        echo = Echo(line[0], line[1], [entry for entry in fields if entry[0].lower() not in framing], trailers)
        body = json.dumps(echo.__dict__).encode()
        head = [f"{name}: {value}" for name, value in ANSWERS.get(line[1].split("?")[0], [])]
        head.append(f"Content-Length: {len(body)}")
        if line[1].endswith("/hang"):
            self.hanging.set()
            return bool(stream.read(1))
        status = re.search(r"[?&]status=(\d+)", line[1])
        start_line = f"HTTP/1.1 {status[1] if status else 200} As Asked"
        connection.sendall("\r\n".join([start_line, *head]).encode() + b"\r\n\r\n" + body)
        return True


def _read_fields(stream: Any) -> list[list[str]]:
    fields = []
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        fields.append([name, value.strip()])
    return fields


@pytest.fixture(scope="session")
def echo_service() -> Iterator[EchoService]:
    service = EchoService()
    yield service
    service.close()


@pytest.fixture
def start(echo_service: EchoService, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with these policies before the echo service.

    `/nowhere-at-all` matches nothing, `/down` fails.
    """
    running: list[Running] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]

    def document(
        policies: dict[str, Any], *, routes: Sequence[Any] = (), address: str = "127.0.0.1:0", **keys: Any
    ) -> Any:
        services = [
            {"name": "echo", "url": f"http://127.0.0.1:{echo_service.port}"},
            {"name": "down", "url": f"http://127.0.0.1:{nobody}", "retries": 1},
        ]
        echo_paths = ["=/", "/a", "/via", "/request-id", "/fields"]
        echo = {"name": "echo", "paths": echo_paths, "service": "echo", "strip_path": False}
        down = {"name": "down", "paths": ["/down"], "service": "down"}
        fixed = {"listeners": [{"address": address}], "services": services, "routes": [*routes, echo, down]}
        return {**fixed, "access_log": "off", "policies": policies, **keys}

    def start(policies: dict[str, Any], **changes: Any) -> Running:
        running.append(Running(document, tmp_path, policies, **changes))
        return running[-1]

    yield start
    for gateway in running:
        gateway.stop()


def eventually(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Waits for what another thread is about to do."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)
