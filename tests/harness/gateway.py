"""Real gateways, in this process, on ports of the system's choice."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from tidegate import Gateway
from tidegate.admin import AdminServer
from tidegate.extend.loop_thread import LoopThread
from tidegate.extend.runner import Runner
from tidegate.serve.server import Server
from tidegate.serve.source import Documents

from tests.harness.poll import DEADLINE
from tests.harness.raw import Raw

Document: TypeAlias = Gateway | Mapping[str, Any] | str | Path


@dataclass
class Answer:
    """What a gateway answered."""

    status: int
    fields: list[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Values by name; of a name that comes twice, the last."""
        return dict(self.fields)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        code = self.json()["code"]
        assert isinstance(code, str)
        return code


class RunningGateway:
    """A gateway with everything a test asks of it. Every call blocks, and every wait has a deadline."""

    def __init__(self, document: Document, folder: Path, workers: int) -> None:
        self._folder = folder
        self._loop = LoopThread("test-app")
        self.runner = Runner()
        self._loop.call(lambda: self.runner.attach(self._loop.loop))
        self.admin: AdminServer | None = None
        try:
            loaded = self._documents(document).load()
            self.server = Server(loaded, self.runner, workers)
        except BaseException:
            self._stop_loop()
            raise
        if loaded.admin is not None:
            self.admin = AdminServer(loaded.admin, self.server)

    def _documents(self, document: Document) -> Documents:
        if isinstance(document, Gateway | Path):
            return Documents(document, any_port=True)
        if isinstance(document, Mapping):
            document = yaml.safe_dump({"access_log": "off", **document}, sort_keys=False)
        elif "access_log" not in document:
            document += "\naccess_log: off\n"
        path = self._folder / "gateway.yaml"
        path.write_text(document)
        return Documents(path, any_port=True)

    # ---- where it is

    @property
    def url(self) -> str:
        """The first listener as a client writes it."""
        return next(iter(self.server.urls().values()))

    def address(self, name: str | None = None) -> tuple[str, int]:
        """Host and port of a listener, the first unless named."""
        addresses = self.server.addresses()
        address = addresses[next(iter(addresses)) if name is None else name]
        assert address is not None, "this listener is a UNIX socket"
        return address

    # ---- asking it

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        listener: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """One request on a connection of its own, and the whole answer."""
        return ask(self.address(listener), method, path, headers=headers, body=body, tls=tls)

    def get(self, path: str, **options: Any) -> Answer:
        """A GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: bytes | str = b"", **options: Any) -> Answer:
        """A POST."""
        return self.request("POST", path, body=body, **options)

    def raw(self, listener: str | None = None) -> Raw:
        """A connection for bytes by hand; to be closed by the test, best by `with`."""
        return Raw(self.address(listener))

    # ---- changing it

    def reload(self, document: Document) -> None:
        """Puts another document in place; raises `ConfigError` when it has problems."""
        self.server.reload_from(self._documents(document))

    def advance(self, seconds: float) -> None:
        """Moves the gateway's clock forward."""
        self.server.advance(seconds)

    def inject_delay(self, seconds: float) -> None:
        """Lets every worker seem so late, as if it had that much to do."""
        self.server.inject_delay(seconds)

    def metrics(self) -> str:
        """What was counted, as Prometheus text."""
        return self.server.metrics()[1]

    def drain(self, timeout_ms: int | None = None) -> bool:
        """Stops accepting and waits for what is open; true when all of it finished."""
        return self.server.drain(timeout_ms)

    def stop(self) -> None:
        """Ends everything; may be called again."""
        if self.admin is not None:
            self.admin.stop()
            self.admin = None
        self.server.stop()
        self._stop_loop()

    def _stop_loop(self) -> None:
        if not self._loop.loop.is_closed():
            self._loop.call(self.runner.detach)
            self._loop.stop()


def start(document: Document, folder: Path, workers: int = 1) -> RunningGateway:
    """Starts a gateway from a mapping, YAML text, a file or a `Gateway`.

    Without `listeners` it gets a port from the system; without `access_log`, none is written.
    """
    return RunningGateway(document, folder, workers)


@contextmanager
def serving(gateway: Gateway) -> Iterator[RunningGateway]:
    """A gateway while the block runs, for fixtures that several tests share."""
    running = start(gateway.model_copy(update={"access_log": "off"}), Path())
    try:
        yield running
    finally:
        running.stop()


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request on a connection of its own, and the whole answer."""
    host, port = address
    connection = (
        http.client.HTTPConnection(host, port, timeout=DEADLINE)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=DEADLINE, context=tls)
    )
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        fields = [(name.lower(), value) for name, value in answer.getheaders()]
        return Answer(answer.status, fields, answer.read())
    finally:
        connection.close()
