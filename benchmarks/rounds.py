"""Runs a scenario: all contestants in turn, again and again, so that a slow moment of the machine meets them all."""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.processes import BenchmarkError
from benchmarks.results import Result, Sample
from benchmarks.scenario import Contestant, Scenario
from benchmarks.stage import Stage


def run_scenario(scenario: Scenario, stage: Stage, only: Sequence[str] = ()) -> Result:
    """Runs every round; a round with a wrong answer is thrown out with a message."""
    result = Result.begin(scenario, stage.settings)
    contestants = _present(scenario, result, only)
    if not contestants:
        return result
    context = scenario.prepare(contestants, stage)
    result.context.update(context)
    for number in range(min(stage.settings.rounds, scenario.rounds or stage.settings.rounds)):
        turn = number % len(contestants)
        for contestant in (*contestants[turn:], *contestants[:turn]):
            try:
                figures = scenario.measure(contestant, stage, context)
            except (BenchmarkError, OSError, subprocess.SubprocessError) as error:
                result.thrown_out.append(f"{contestant.label}, round {number + 1}: {error}")
                _say(f"{scenario.name}: thrown out: {result.thrown_out[-1]}")
                continue
            result.samples.append(Sample(contestant.label, number + 1, figures))
            _say(f"{scenario.name}: round {number + 1}: {contestant.label}: {_short(scenario, figures)}")
    return result


def _present(scenario: Scenario, result: Result, only: Sequence[str]) -> tuple[Contestant, ...]:
    """The contestants that are installed and wanted."""
    present = []
    for contestant in scenario.contestants:
        missing = contestant.peer.missing()
        if only and contestant.peer.name not in only:
            result.absent[contestant.label] = "not asked for"
        elif missing:
            result.absent[contestant.label] = f"not installed: {missing}"
            _say(f"{scenario.name}: without {contestant.label}, which needs {missing}")
        else:
            result.versions[contestant.peer.name] = contestant.peer.version()
            present.append(contestant)
    return tuple(present)


def _short(scenario: Scenario, figures: dict[str, float]) -> str:
    shown = [(each.title, figures[each.key], each.digits) for each in scenario.figures if each.key in figures]
    return ", ".join(f"{title} {value:.{digits}f}" for title, value, digits in shown)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
