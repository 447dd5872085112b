"""What a gateway takes before it does anything: memory, idle connections, time to the first answer."""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from benchmarks.peers import Envoy, Haproxy, Nginx, Tidegate
from benchmarks.places import GATEWAY_CORE
from benchmarks.processes import BenchmarkError, Process
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.stage import Stage
from benchmarks.workload import HOST, Workload

MEGABYTE = 1e6
IDLE_CONNECTIONS = 10_000
PEERS = (Tidegate(), Nginx(), Envoy(), Haproxy())
PATIENCE = 30.0


def _measure_memory(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    with stage.open(contestant.peer, contestant.workload) as running:
        start = running.process.memory()
        with _idle_connections(running.site.port, contestant.workload.target(0)):
            held = running.process.memory()
    return {
        "pss_mb": start.pss / MEGABYTE,
        "rss_mb": start.rss / MEGABYTE,
        "idle_pss_mb": held.pss / MEGABYTE,
        "idle_kb_each": (held.pss - start.pss) / IDLE_CONNECTIONS / 1e3,
    }


@contextmanager
def _idle_connections(port: int, target: str) -> Iterator[None]:
    """Keeps connections open, each of which has had one answer."""
    request = f"GET {target} HTTP/1.1\r\nhost: {HOST}:{port}\r\n\r\n".encode()
    with ExitStack() as open_connections:
        for number in range(IDLE_CONNECTIONS):
            connection = open_connections.enter_context(socket.create_connection((HOST, port), timeout=10))
            connection.sendall(request)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                raise BenchmarkError(f"idle connection {number + 1} was not answered with 200")
        yield


def measure_start(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    """From the start of the process to the first whole answer of the service."""
    site = stage.site(contestant.peer, contestant.workload)
    launch = contestant.peer.launch(contestant.workload, site)
    begin = time.monotonic()
    with Process(launch, GATEWAY_CORE, site.folder / "output.log") as process:
        while not _answers(site.port, contestant.workload.target(0)):
            if time.monotonic() - begin > PATIENCE:
                raise BenchmarkError(f"no answer after {PATIENCE:g}s\n{process.log_tail()}")
            time.sleep(0.001)
        return {"first_answer_ms": (time.monotonic() - begin) * 1000}


def _answers(port: int, target: str) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nhost: {HOST}:{port}\r\n\r\n".encode())
            return connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


FOOTPRINT_SCENARIOS = (
    Scenario(
        name="memory",
        title="Memory",
        description=(
            "Two workers and 200 routes, after the first answers; then with 10,000 idle connections, each of which has "
            "had one. Megabytes; PSS counts what processes share once."
        ),
        contestants=tuple(Contestant(peer.name, peer, Workload(workers=2)) for peer in PEERS),
        figures=(
            Figure("pss_mb", "PSS, MB"),
            Figure("rss_mb", "RSS, MB"),
            Figure("idle_pss_mb", "PSS with 10,000 idle, MB"),
            Figure("idle_kb_each", "kB each", 2),
        ),
        measure=_measure_memory,
        goals=(Goal("pss_mb", "tidegate", 60),),
        rounds=3,
    ),
    Scenario(
        name="start",
        title="Time to the first answer",
        description="From the start of the process, with one worker and 200 routes, to a 200 of the service.",
        contestants=tuple(Contestant(peer.name, peer, Workload()) for peer in PEERS),
        figures=(Figure("first_answer_ms", "ms", 0),),
        measure=measure_start,
    ),
)
