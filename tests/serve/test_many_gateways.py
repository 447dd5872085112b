"""Three gateways behind HAProxy, as the guide sets them up: rolled one by one under load, and one killed."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import StartUpstream
from tests.harness import eventually
from tests.harness.gateway import ask
from tests.harness.process import GatewayProcess
from tests.serve.load import Load

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
EXAMPLE = Path(__file__).parents[2] / "examples" / "three-gateways"
CLIENTS = 8

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


class Member:
    """A gateway that keeps its ports over a restart."""

    def __init__(self, service_url: str, ports: tuple[int, int]) -> None:
        self.port, self._admin = ports
        self._environment = {"PORT": str(self.port), "ADMIN_PORT": str(self._admin), "SHOP_URL": service_url}
        self.running: GatewayProcess | None = None
        self.start()

    @property
    def ports(self) -> tuple[int, int]:
        return self.port, self._admin

    def start(self) -> None:
        """Starts it; somebody else may have the port for a moment, as the far end of a connection."""

        def up() -> GatewayProcess:
            running = GatewayProcess(EXAMPLE / "gateway.yaml", "--workers", "1", environment=self._environment)
            try:
                running.listening()
            except AssertionError:
                running.stop()
                raise
            return running

        self.running = eventually(up, f"a gateway on port {self.port}")

    def end(self, number: signal.Signals) -> int:
        """Signals it and waits for its end; the exit code."""
        assert self.running is not None
        self.running.signal(number)
        code = self.running.wait()
        self.running.stop()
        self.running = None
        return code


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(address: tuple[str, int]) -> bool:
    """Whether a request through the load balancer is answered by a gateway."""
    try:
        return ask(address, "GET", "/").status == 200
    except OSError:
        return False


@contextmanager
def balancer(members: list[Member], folder: Path) -> Iterator[tuple[str, int]]:
    """HAProxy with the guide's configuration, the ports apart; where it listens."""
    assert HAPROXY is not None
    (port,) = free_ports(1)
    configuration = (EXAMPLE / "haproxy.cfg").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    for number, member in enumerate(members, 1):
        given = f"127.0.0.1:{8080 + number} port {9900 + number}"
        assert given in configuration
        configuration = configuration.replace(given, "127.0.0.1:{} port {}".format(*member.ports))
    path = folder / "haproxy.cfg"
    path.write_text(configuration)
    log = folder / "haproxy.log"
    with log.open("wb") as output, subprocess.Popen([HAPROXY, "-db", "-q", "-f", str(path)], stderr=output) as process:
        address = ("127.0.0.1", port)

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return answers(address)

        try:
            eventually(up, "the load balancer")
            yield address
        finally:
            process.terminate()


@pytest.fixture
def members(upstream: StartUpstream) -> Iterator[list[Member]]:
    service = upstream()
    ports = free_ports(6)
    started = [Member(service.url, (ports[2 * number], ports[2 * number + 1])) for number in range(3)]
    yield started
    for member in started:
        if member.running is not None:
            member.running.stop()


def more(load: Load, requests: int) -> Callable[[], bool]:
    """Whether so many more requests were answered than now."""
    goal = load.done + requests
    return lambda: load.done >= goal


def test_rolling_all_three_fails_no_request(members: list[Member], tmp_path: Path) -> None:
    with balancer(members, tmp_path) as address, Load(lambda: address, CLIENTS) as load:
        for member in members:
            eventually(more(load, 200), "requests before the roll")
            assert member.end(signal.SIGTERM) == 0
            eventually(more(load, 200), "requests while one is away")
            member.start()
        eventually(more(load, 200), "requests after the roll")
    assert load.failed == []


def test_a_killed_gateway_fails_only_what_it_had(members: list[Member], tmp_path: Path) -> None:
    with balancer(members, tmp_path) as address, Load(lambda: address, CLIENTS) as load:
        eventually(more(load, 200), "requests before the kill")
        members[1].end(signal.SIGKILL)
        eventually(more(load, 500), "requests after the kill")
        failed = len(load.failed)
        members[1].start()
        eventually(more(load, 200), "requests after its return")
    assert failed <= CLIENTS
    assert len(load.failed) == failed


def test_all_three_carry_requests(members: list[Member], tmp_path: Path) -> None:
    with balancer(members, tmp_path) as address:
        for number, _ in enumerate(members):
            others = [member for at, member in enumerate(members) if at != number]
            for member in others:
                assert member.end(signal.SIGTERM) == 0
            eventually(lambda: answers(address), "the one that is left")
            for member in others:
                member.start()
            eventually(lambda: answers(address), "all of them")
