"""Services whose targets are well or not, as a test says, and what the gateway thinks of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, RunningGateway, eventually
from tests.tls.certificates import Authority


class Backend:
    """One target; it answers `/health` as it is told, and everything else with its name."""

    def __init__(self, service: FakeUpstream, name: str) -> None:
        self.name = name
        self.service = service.script(self._play)
        self.health: bytes | None = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        """The answer to a probe; `None` for none at all."""
        self.status: int | None = 200
        """Of other answers; `None` resets the connection."""
        self.hold: threading.Event | None = None
        """Other answers wait for it."""
        host, port = service.address
        self.address = f"{host}:{port}"

    @property
    def probes(self) -> int:
        """Probes that came."""
        return sum(request.target.startswith("/health") for request in self.service.requests)

    @property
    def calls(self) -> int:
        """Other requests that came."""
        return len(self.service.requests) - self.probes

    def sick(self) -> None:
        """Fails its probes from now on."""
        self.health = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"

    def well(self) -> None:
        """Passes them."""
        self.health = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    def _play(self, connection: Connection) -> None:
        while (request := connection.request()) is not None:
            if request.target.startswith("/health"):
                if self.health is None:
                    return connection.hang()
                connection.send(self.health)
                if b"connection: close" in request.raw.lower():
                    return None
            else:
                if self.hold is not None:
                    self.hold.wait(20)
                if self.status is None:
                    return connection.reset()
                body = self.name.encode()
                connection.send(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (self.status, len(body), body))
        return None


class Pool:
    """A gateway before some targets with a health check."""

    def __init__(self, running: RunningGateway, backends: list[Backend], options: dict[str, Any]) -> None:
        self.running = running
        self.backends = backends
        self.options = options

    def document(self, **check: Any) -> dict[str, Any]:
        """The document, with another check."""
        return document(self.backends, {**self.options, **({"health_check": check} if check else {})})

    def targets(self) -> dict[str, dict[str, Any]]:
        """What the gateway knows of each target, by the name of its backend."""
        names = {backend.address: backend.name for backend in self.backends}
        (service,) = self.running.server.health()
        return {names[target["address"]]: target for target in service["targets"]}

    def state(self, backend: Backend) -> str:
        return str(self.targets()[backend.name]["state"])

    def becomes(self, backend: Backend, state: str) -> None:
        """Waits until the gateway thinks so."""
        eventually(lambda: self.state(backend) == state, f"{backend.name} {state}")

    def probed(self, backend: Backend) -> int:
        """Probes of which the gateway knows the result."""
        probe = self.targets()[backend.name].get("probe")
        return int(probe["passed"] + probe["failed"]) if probe else 0

    def begun(self) -> None:
        """Waits until every target was asked once."""
        eventually(lambda: all(self.probed(backend) >= 1 for backend in self.backends), "the first probes")

    def next_probes(self, times: int = 1) -> None:
        """Lets the time of one interval pass, and waits for the results of all."""
        for _ in range(times):
            self._next_probes({backend.name: self.probed(backend) for backend in self.backends})

    def _next_probes(self, before: dict[str, int]) -> None:
        self.running.advance(11)
        eventually(lambda: all(self.probed(backend) > before[backend.name] for backend in self.backends), "probes")

    def ask(self, count: int = 1) -> list[str]:
        """Who answered, or the status of what no target answered."""
        answers = [self.running.get("/") for _ in range(count)]
        return [answer.text if answer.status == 200 else str(answer.status) for answer in answers]


def document(backends: list[Backend], options: dict[str, Any]) -> dict[str, Any]:
    service = dict(options)
    check = service.pop("health_check")
    upstream = {
        "targets": [{"address": backend.address} for backend in backends],
        "health_check": check,
        "panic_threshold": 0,
        **service.pop("upstream", {}),
    }
    return {
        "services": [{"name": "service", "retries": 0, "upstream": upstream, **service}],
        "routes": [
            {"name": f"r{index}", "paths": [path], "service": "service"} for index, path in enumerate(("/", "/b"))
        ],
    }


StartPool = Callable[..., Pool]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("health")))


@pytest.fixture
def pool(gateway: StartGateway, upstream: StartUpstream) -> StartPool:
    """`pool(2, active={...}, passive={...})`; other keywords go into the service."""

    def begin(
        count: int | list[Backend] = 2,
        *,
        active: Any = None,
        passive: Any = None,
        workers: int = 1,
        **options: Any,
    ) -> Pool:
        backends = (
            count if isinstance(count, list) else [Backend(upstream(), "abcdef"[index]) for index in range(count)]
        )
        check = {name: value for name, value in (("active", active), ("passive", passive)) if value is not None}
        options = {**options, "health_check": check}
        return Pool(gateway(document(backends, options), workers=workers), backends, options)

    return begin
