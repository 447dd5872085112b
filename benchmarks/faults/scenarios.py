"""One scenario for each illness."""

from collections.abc import Callable, Mapping
from typing import cast

from benchmarks.faults.illness import RATE, SERVICES, USUAL_MS, Course, Illness
from benchmarks.faults.judge import judge
from benchmarks.faults.peers import Shield, ShieldingEnvoy, ShieldingHaproxy, ShieldingTidegate
from benchmarks.faults.plot import draw, keep
from benchmarks.faults.run import run
from benchmarks.load import Load
from benchmarks.peers import Tidegate
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.scenarios.cost import COST_FIGURES, CPU, cost_of
from benchmarks.stage import Stage
from benchmarks.workload import Workload

SHIELDS: tuple[Shield, ...] = (ShieldingTidegate(), ShieldingEnvoy(), ShieldingHaproxy())
SHORT = Course(before=3, sick=5.4, after=4)

FIGURES = (
    Figure("others_p99_ratio", "p99 of the others, of before", 2),
    Figure("others_failed", "others failed", 4),
    Figure("sick_p99_ms", "p99 of the sick one once noticed, ms", 1),
    Figure("refused_p99_ms", "of those refused, ms", 1),
    Figure("let_through", "share not refused", 4),
    Figure("load_ratio", "its load, of what is offered", 2),
    Figure("sick_answered", "its requests answered", 2, more_is_better=True),
    Figure("recovery_ms", "back after, ms", 0),
)
GOALS = (
    Goal("others_p99_ratio", "tidegate", 1.1),
    Goal("others_failed", "tidegate", 0),
    Goal("sick_p99_ms", "tidegate", 5),
    Goal("load_ratio", "tidegate", 1.25),
)


def _measure(illness: Illness) -> Callable[[Contestant, Stage, Mapping[str, float]], Figures]:
    def measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
        course = Course() if stage.settings.seconds > 3 else SHORT
        timeline = run(cast(Shield, contestant.peer), illness, course, stage)
        keep(illness, contestant.label, timeline, course)
        draw(illness, [shield.name for shield in SHIELDS])
        return judge(timeline, course)

    return measure


def _scenario(illness: Illness) -> Scenario:
    # Of a service that flaps nothing is promised once it is noticed: half of the time it is well.
    goals = tuple(goal for goal in GOALS if not (illness is Illness.FLAP and goal.figure == "sick_p99_ms"))
    return Scenario(
        name=f"fault_{illness}",
        title=illness.headline,
        description=(
            f"{RATE:g} requests a second to each of {SERVICES} services, on a fixed schedule; an answer takes "
            f"{USUAL_MS} ms. {illness.what_happens} ![over time](images/fault_{illness}.svg)"
        ),
        contestants=tuple(Contestant(shield.name, shield, Workload()) for shield in SHIELDS),
        figures=FIGURES,
        measure=_measure(illness),
        goals=goals,
    )


COST = Scenario(
    name="shielded",
    title="All shields up, nothing wrong",
    description=(
        "The first scenario with balancing, active and passive health checks, deadlines, retries, hedging, a breaker, "
        "a bulkhead, a fallback and protection from overload configured, and without any of them."
    ),
    contestants=(
        Contestant("tidegate", Tidegate(), Workload(shielded=True)),
        Contestant("tidegate, all but hedging", Tidegate(), Workload(shielded=True, hedged=False)),
        Contestant("tidegate, no shields", Tidegate(), Workload(shielded=False)),
        Contestant("tidegate, by default", Tidegate(), Workload()),
    ),
    figures=COST_FIGURES,
    measure=cost_of(Load()),
    goals=(Goal(CPU, "tidegate", 1.0, over="tidegate, no shields"),),
)

FAULT_SCENARIOS = (COST, *(_scenario(illness) for illness in Illness))
