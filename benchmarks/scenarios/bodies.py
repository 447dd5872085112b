"""Bodies of 1 MiB, down and up."""

from benchmarks.load import Load
from benchmarks.peers import Envoy, Haproxy, Nginx, Tidegate
from benchmarks.scenario import Contestant, Figure, Scenario
from benchmarks.scenarios.cost import cost_of
from benchmarks.workload import Workload

MEBIBYTE = 1 << 20
CONTESTANTS = tuple(Contestant(peer.name, peer, Workload()) for peer in (Tidegate(), Nginx(), Envoy(), Haproxy()))
FIGURES = (
    Figure("gigabytes_per_cpu_second", "GB/s per core", 2, more_is_better=True),
    Figure("rate", "bodies/s", 0),
    Figure("busy", "core busy", 2),
)

BODY_SCENARIOS = (
    Scenario(
        name="bodies_down",
        title="1 MiB answers",
        description="64 connections ask for answers of 1 MiB; bytes for each second of processor time.",
        contestants=CONTESTANTS,
        figures=FIGURES,
        measure=cost_of(Load(query="?big")),
    ),
    Scenario(
        name="bodies_up",
        title="1 MiB requests",
        description="64 connections send requests of 1 MiB; bytes for each second of processor time.",
        contestants=CONTESTANTS,
        figures=FIGURES,
        measure=cost_of(Load(upload=MEBIBYTE)),
    ),
)
