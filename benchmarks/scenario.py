"""What a scenario is: who takes part, what is measured in one round, and what the goals are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.peers import Peer
from benchmarks.stage import Stage
from benchmarks.workload import Workload

Figures = dict[str, float]
"""What one round of one contestant gave, by the key of a `Figure`."""


@dataclass(frozen=True)
class Contestant:
    """A peer at a workload, under the name that the tables give it."""

    label: str
    peer: Peer
    workload: Workload


@dataclass(frozen=True)
class Figure:
    """A column of the scenario's table."""

    key: str
    title: str
    digits: int = 1
    more_is_better: bool = False


@dataclass(frozen=True)
class Goal:
    """A bound on the median of a figure: as it is, as a ratio `of` another contestant's, or as what it is `over` it."""

    figure: str
    contestant: str
    at_most: float
    of: str | None = None
    over: str | None = None


def _nothing(contestants: tuple[Contestant, ...], stage: Stage) -> Figures:
    return {}


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    description: str
    contestants: tuple[Contestant, ...]
    figures: tuple[Figure, ...]
    measure: Callable[[Contestant, Stage, Mapping[str, float]], Figures]
    """One round of one contestant, in a process of its own."""
    goals: tuple[Goal, ...] = ()
    prepare: Callable[[tuple[Contestant, ...], Stage], Figures] = field(default=_nothing)
    """What must be known of all contestants before the first round; given to every `measure`."""
    rounds: int | None = None
    """Fewer rounds than usual, where one takes long."""
