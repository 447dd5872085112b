"""Fixtures for every test; what they give is in `tests/harness`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness import FakeUpstream, GatewayProcess, RunningGateway, start
from tests.harness.gateway import Document


class StartGateway(Protocol):
    """The `gateway` fixture."""

    def __call__(self, document: Document, *, workers: int = 1) -> RunningGateway:
        """Starts a gateway that is stopped when the test ends."""
        ...


class StartUpstream(Protocol):
    """The `upstream` fixture."""

    def __call__(self, *, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> FakeUpstream:
        """Starts a service that is stopped when the test ends."""
        ...


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways: `gateway({"routes": [...]})`, from YAML text, a file or a `Gateway`."""
    running: list[RunningGateway] = []

    def begin(document: Document, *, workers: int = 1) -> RunningGateway:
        folder = tmp_path / f"gateway-{len(running)}"
        folder.mkdir()
        running.append(start(document, folder, workers))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


@pytest.fixture
def upstream() -> Iterator[StartUpstream]:
    """Starts services that do as they are told: `upstream().answer(...)`, `.script(...)`."""
    running: list[FakeUpstream] = []

    def begin(*, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> FakeUpstream:
        running.append(FakeUpstream(tls=tls, unix=unix))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


class StartProcess(Protocol):
    """The `process` fixture."""

    def __call__(self, document: str | Path, *arguments: str) -> GatewayProcess:
        """Starts `tidegate run` with a document, as text or as a file; it is ended when the test ends."""
        ...


@pytest.fixture
def process(tmp_path: Path) -> Iterator[StartProcess]:
    """Starts gateways in processes of their own: `process("routes: ...", "--watch")`."""
    running: list[GatewayProcess] = []

    def begin(document: str | Path, *arguments: str) -> GatewayProcess:
        if isinstance(document, str):
            folder = tmp_path / f"process-{len(running)}"
            folder.mkdir()
            path = folder / "gateway.yaml"
            path.write_text(document)
            document = path
        running.append(GatewayProcess(document, *arguments))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


StartProgram = Callable[[str], GatewayProcess]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[StartProgram]:
    """Starts Python programs that run a gateway, from their text."""
    running: list[GatewayProcess] = []

    def begin(text: str) -> GatewayProcess:
        path = tmp_path / f"program_{len(running)}.py"
        path.write_text(text)
        running.append(GatewayProcess(path, command=()))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


Proxy = Callable[..., RunningGateway]


@pytest.fixture
def proxy(gateway: StartGateway) -> Proxy:
    """A gateway with one route, `/`, to one service: `proxy(upstream())`; keywords go into the service."""

    def begin(service: FakeUpstream, *, route: dict[str, object] | None = None, **options: object) -> RunningGateway:
        return gateway(
            {
                "services": [{"name": "service", "url": service.url, **options}],
                "routes": [{"name": "all", "paths": ["/"], "service": "service", "strip_path": False, **(route or {})}],
            }
        )

    return begin
