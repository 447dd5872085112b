"""A real gateway, in the process of the test, on ports of the system's choice."""

from __future__ import annotations

import json
import ssl
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import yaml

from tidegate.admin import AdminServer
from tidegate.config import Gateway, Loaded
from tidegate.extend.loop_thread import LoopThread
from tidegate.extend.runner import Runner
from tidegate.serve.server import Server
from tidegate.serve.source import Documents
from tidegate.testing.answer import Answer
from tidegate.testing.apart import Kept, cut_off
from tidegate.testing.client import AsyncClient, Body, ask
from tidegate.testing.compare import MISSING
from tidegate.testing.raw import Raw
from tidegate.testing.services import Services
from tidegate.testing.tokens import token

Document: TypeAlias = Gateway | Mapping[str, Any] | str | Path
"""A `Gateway`, a mapping, the text of a document, or a file or folder."""


class Surroundings:
    """What stands around a gateway in the place of what is real."""

    def __init__(
        self,
        *,
        real: Collection[str] = (),
        keep: Collection[Kept] = (),
        environment: Mapping[str, str] | None = None,
        logs: bool = False,
    ) -> None:
        """As for `start`. `logs`: the access log goes into the file of that name in the folder."""
        self.services = Services(())
        self._real = frozenset(real)
        self._keep = frozenset(keep)
        self._environment = environment
        self._temporary = tempfile.TemporaryDirectory(prefix="tidegate-test-")
        self._written = 0
        self.access_log = self.folder / "access.log" if logs else None

    @property
    def folder(self) -> Path:
        """Where files of the test may be; it goes with the gateway."""
        return Path(self._temporary.name)

    def documents(self, document: Document) -> Documents:
        """The document, to be loaded for a test."""
        if isinstance(document, str) and "\n" not in document:
            document = Path(document)
        if isinstance(document, Mapping):
            document = yaml.safe_dump(dict(document), sort_keys=False)
        if isinstance(document, str):
            text, self._written = document, self._written + 1
            document = self.folder / f"{self._written}" / "gateway.yaml"
            document.parent.mkdir()
            document.write_text(text)
        return Documents(document, environment=self._environment, adapt=self._adapted)

    def _adapted(self, loaded: Loaded) -> Loaded:
        names = [service["name"] for service in json.loads(loaded.plan)["services"]]
        addresses = {name: self.services.add(name).address for name in names if name not in self._real}
        return cut_off(loaded, addresses, self.folder, self._keep, self.access_log)

    def stop(self) -> None:
        """Ends the services, and removes the files."""
        self.services.stop()
        self._temporary.cleanup()


def start(
    document: Document,
    *,
    real: Collection[str] = (),
    keep: Collection[Kept] = (),
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
) -> RunningGateway:
    """Starts a gateway from a document, cut off from everything around it; to be stopped, best by `with`.

    A text without a line break is the name of a file or folder. `real`: services that are called as the document says.
    `keep`: what else stays. `environment`: what `${env:NAME}` stands for, instead of the process's own. Raises
    `ConfigError` with every problem.
    """
    around = Surroundings(real=real, keep=keep, environment=environment)
    return RunningGateway(around.documents(document), workers=workers, around=around)


class RunningGateway:
    """A gateway with everything that a test asks of it. Every call blocks, and every wait has a deadline."""

    def __init__(self, documents: Documents, *, workers: int = 1, around: Surroundings | None = None) -> None:
        """Starts; raises `ConfigError` with every problem of the document. Tests of yours call `start`."""
        self._around = around or Surroundings()
        self._moved = 0.0
        self.admin: AdminServer | None = None
        self._loop = LoopThread("test-app")
        self.runner = Runner()
        self._loop.call(lambda: self.runner.attach(self._loop.loop))
        try:
            loaded = documents.load()
            self.server = Server(loaded, self.runner, workers)
        except BaseException:
            self._stop_loop()
            self._around.stop()
            raise
        if loaded.admin is not None:
            self.admin = AdminServer(loaded.admin, self.server)

    @property
    def services(self) -> Services:
        """The services of the document, none of them real."""
        return self._around.services

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

    def trust(self, listener: str | None = None) -> ssl.SSLContext | None:
        """What a client needs for a listener with TLS, whose certificate is believed as it is; `None` without TLS."""
        urls = self.server.urls()
        url = urls[next(iter(urls)) if listener is None else listener]
        if not url.startswith("https:"):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    # ---- asking it

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        json: Any = MISSING,
        claims: Mapping[str, Any] | None = None,
        listener: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """One request on a connection of its own, and the whole answer.

        `claims`: those of a signed token in `Authorization`. `tls`: for client certificates, or to verify the
        gateway's; without, any certificate will do.
        """
        tls = tls or self.trust(listener)
        if claims is not None:
            headers = {**(headers or {}), **self.bearer(claims)}
        options: dict[str, Any] = {"headers": headers, "query": query, "body": body, "json": json, "tls": tls}
        return ask(self.address(listener), method, path, **options)

    def get(self, path: str, **options: Any) -> Answer:
        """A GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Body | None = None, **options: Any) -> Answer:
        """A POST."""
        return self.request("POST", path, body=body, **options)

    def put(self, path: str, body: Body | None = None, **options: Any) -> Answer:
        """A PUT."""
        return self.request("PUT", path, body=body, **options)

    def patch(self, path: str, body: Body | None = None, **options: Any) -> Answer:
        """A PATCH."""
        return self.request("PATCH", path, body=body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """A DELETE."""
        return self.request("DELETE", path, **options)

    @property
    def asynchronous(self) -> AsyncClient:
        """The same for tests that await."""
        return AsyncClient(self)

    def token(self, claims: Mapping[str, Any] | None = None, *, lifetime: float = 300.0) -> str:
        """A signed token that policies such as `jwt` take, of an issuer that is not real: `token({"sub": "ann"})`.

        `iss`, `aud`, `iat` and `exp` are as the document wants them unless they are given; `None` leaves one out.
        """
        plan = json.loads(self.server.loaded.plan)
        return token(plan, claims or {}, time.time() + self._moved, lifetime)

    def bearer(self, claims: Mapping[str, Any]) -> dict[str, str]:
        """The header that brings such a token."""
        return {"authorization": f"Bearer {self.token(claims)}"}

    def raw(self, listener: str | None = None) -> Raw:
        """A connection for bytes by hand; to be closed by the test, best by `with`."""
        return Raw(self.address(listener))

    def explain(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What would happen to a request, as `tidegate explain --json` says it."""
        from tidegate._native import explain

        pairs = [("host", "localhost"), *(headers or {}).items()]
        explained = explain(self.server.loaded.plan, method, path, pairs, "127.0.0.1")
        return dict(json.loads(explained))

    # ---- changing it

    def reload(self, document: Document) -> None:
        """Puts another document in place; raises `ConfigError` when it has problems, and nothing has changed then."""
        self.server.reload_from(self._around.documents(document))

    def advance(self, seconds: float) -> None:
        """Moves the gateway's clock forward: what is due by then happens now."""
        self._moved += seconds
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
        self._around.stop()

    def _stop_loop(self) -> None:
        if not self._loop.loop.is_closed():
            self._loop.call(self.runner.detach)
            self._loop.stop()

    def __enter__(self) -> RunningGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
