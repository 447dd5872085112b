"""A gateway before a service that echoes what it got, and a client that sends what no library would."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Protocol

import pytest
from tidegate.serve.server import Server

from tests.harness import DEADLINE, Connection, FakeUpstream
from tests.harness import gateway as http

Fields = Sequence[tuple[str, str]]


class Headed:
    """What has header fields, in order, names in lower case."""

    fields: Sequence[Sequence[str]]

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def names(self) -> list[str]:
        return [name for name, _ in self.fields]

    def values(self) -> list[str]:
        return [value for _, value in self.fields]


@dataclass
class Echo(Headed):
    """A request as the service got it, without its framing."""

    method: str
    target: str
    fields: list[list[str]]
    trailers: list[str]
    """Their names."""


@dataclass
class Answer(Headed):
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def echo(self) -> Echo:
        return Echo(**self.json())


def ask(
    gateway: EchoGateway,
    method: str = "GET",
    target: str = "/",
    headers: Fields = (),
    body: bytes = b"",
    version: str = "HTTP/1.1",
    unix: Path | None = None,
) -> Answer:
    """One request on a connection of its own; names and values go out as they are."""
    lines = [f"{method} {target} {version}"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append("Host: gateway.example")
    lines += [f"{name}: {value}" for name, value in headers]
    with gateway.connect(unix) as client:
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        response = HTTPResponse(client, method=method)
        response.begin()
        fields = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(response.status, fields, response.read())


EXTRA = {
    "/via": "Via: 1.1 upstream\r\n",
    "/request-id": "X-Request-Id: of-the-service\r\n",
    "/fields": "Server: echo\r\nCache-Control: public\r\nCache-Control: max-age=9\r\nVary: accept\r\n",
}
"""Fields of the answer, by path."""
FRAMING = {"content-length", "transfer-encoding", "te"}


def echo_all(connection: Connection) -> None:
    """Answers every request with itself; `/hang` never, and with the status of `?status=`."""
    while (request := connection.request()) is not None:
        path = request.target.partition("?")[0]
        if path.endswith("/hang"):
            return connection.hang()
        status = re.search(r"[?&]status=(\d+)", request.target)
        fields = [[name, value] for name, value in request.fields if name not in FRAMING]
        _, _, trailer_section = request.raw.partition(b"\r\n0\r\n")
        trailers = [line.partition(b":")[0].decode().lower() for line in trailer_section.splitlines() if line]
        body = json.dumps(asdict(Echo(request.method, request.target, fields, trailers)))
        head = (
            f"HTTP/1.1 {status[1] if status else 200} As Asked\r\n{EXTRA.get(path, '')}Content-Length: {len(body)}\r\n"
        )
        connection.send(f"{head}\r\n{body}")
    return None


class EchoGateway:
    """A gateway before the echo service; `/nowhere-at-all` matches no route, `/down` goes to nobody."""

    def __init__(self, service: FakeUpstream, folder: Path, policies: dict[str, Any], workers: int, **changes: Any):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self._nobody = closed.getsockname()[1]
        self._service = service
        self._running = http.start(self._document(policies, **changes), folder, workers)

    def _document(
        self, policies: dict[str, Any], *, routes: Sequence[Any] = (), address: str = "127.0.0.1:0", **keys: Any
    ) -> dict[str, Any]:
        services = [
            {"name": "echo", "url": self._service.url},
            {"name": "down", "url": f"http://127.0.0.1:{self._nobody}", "retries": 1},
        ]
        paths = ["=/", "/a", *EXTRA]
        echo = {"name": "echo", "paths": paths, "service": "echo", "strip_path": False}
        down = {"name": "down", "paths": ["/down"], "service": "down"}
        fixed = {"listeners": [{"address": address}], "services": services, "routes": [*routes, echo, down]}
        # Each test looks at what it names: what is on by default besides would be in every list of headers.
        named = {"request_id": "off", "trace_context": "off", **policies}
        return {**fixed, "policies": named, **keys}

    @property
    def server(self) -> Server:
        """The server itself, for what no client can ask."""
        return self._running.server

    def admin(self, path: str) -> http.Answer:
        """A page of the admin listener."""
        assert self._running.admin is not None
        host, _, port = self._running.admin.url.removeprefix("http://").rpartition(":")
        return http.ask((host, int(port)), "GET", path)

    def address(self) -> tuple[str, int]:
        return self._running.address()

    def connect(self, unix: Path | None = None) -> socket.socket:
        if unix is None:
            return socket.create_connection(self.address(), timeout=DEADLINE)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE)
        client.connect(str(unix))
        return client

    def reload(self, policies: dict[str, Any], **changes: Any) -> None:
        self._running.reload(self._document(policies, **changes))

    def metrics(self, accept: str = "") -> tuple[str, str]:
        """Content type and text."""
        return self._running.server.metrics(accept)

    def advance(self, seconds: float) -> None:
        self._running.advance(seconds)

    def stop(self, patience_ms: int = 5000) -> None:
        self._running.drain(patience_ms)
        self._running.stop()


class Start(Protocol):
    """The `start` fixture."""

    def __call__(self, policies: dict[str, Any], *, workers: int = 2, **changes: Any) -> EchoGateway:
        """Starts a gateway with these policies; further keys go into the document."""
        ...


@pytest.fixture
def echo_service() -> Iterator[FakeUpstream]:
    service = FakeUpstream().script(echo_all)
    yield service
    service.stop()


@pytest.fixture
def start(echo_service: FakeUpstream, tmp_path: Path) -> Iterator[Start]:
    running: list[EchoGateway] = []

    def begin(policies: dict[str, Any], *, workers: int = 2, **changes: Any) -> EchoGateway:
        folder = tmp_path / f"gateway-{len(running)}"
        folder.mkdir()
        running.append(EchoGateway(echo_service, folder, policies, workers, **changes))
        return running[-1]

    yield begin
    for gateway in running:
        gateway.stop()
