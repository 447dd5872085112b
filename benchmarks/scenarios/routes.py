"""What 10,000 routes cost: for each request, at load and in memory."""

from collections.abc import Mapping

from benchmarks.load import Load
from benchmarks.peers import Envoy, Haproxy, Nginx, Peer, Tidegate
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.scenarios.cost import CPU, cost_of
from benchmarks.scenarios.footprint import MEGABYTE, measure_start
from benchmarks.stage import Stage
from benchmarks.workload import Workload

FEW, MANY = 10, 10_000
_cost = cost_of(Load())


def _measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    figures = measure_start(contestant, stage, context)
    with stage.open(contestant.peer, contestant.workload) as running:
        figures["pss_mb"] = running.process.memory().pss / MEGABYTE
    return figures | _cost(contestant, stage, context)


def _few_and_many(peer: Peer) -> tuple[Contestant, Contestant]:
    few, many = (Contestant(_label(peer.name, count), peer, Workload(routes=count)) for count in (FEW, MANY))
    return few, many


def _label(name: str, count: int) -> str:
    return f"{name}, {count:,} routes"


TIDEGATE_FEW, TIDEGATE_MANY = (_label("tidegate", count) for count in (FEW, MANY))

ROUTE_SCENARIOS = (
    Scenario(
        name="routes",
        title="10 routes and 10,000",
        description="All routes are asked for in turn, so with 10,000 nothing about one stays in the nearest cache.",
        contestants=tuple(each for peer in (Tidegate(), Nginx(), Envoy(), Haproxy()) for each in _few_and_many(peer)),
        figures=(
            Figure(CPU, "CPU µs/request", 2),
            Figure("first_answer_ms", "first answer, ms", 0),
            Figure("pss_mb", "PSS, MB"),
        ),
        measure=_measure,
        goals=(
            Goal(CPU, TIDEGATE_MANY, 1.2, of=TIDEGATE_FEW),
            Goal("first_answer_ms", TIDEGATE_MANY, 2000, over=TIDEGATE_FEW),
            Goal("pss_mb", TIDEGATE_MANY, 100, over=TIDEGATE_FEW),
        ),
    ),
)
