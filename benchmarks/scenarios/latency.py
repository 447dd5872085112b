"""Latency on a fixed schedule, well below saturation and near it."""

import statistics
from collections.abc import Mapping

from benchmarks.load import Load, run_load
from benchmarks.openloop import run_schedule
from benchmarks.peers import Envoy, Haproxy, Nginx, Tidegate
from benchmarks.scenario import Contestant, Figure, Figures, Scenario
from benchmarks.stage import Stage
from benchmarks.workload import Workload

SHARES = (30, 70)
PREPARATIONS = 3
COMMON = "common"


def _saturate(contestants: tuple[Contestant, ...], stage: Stage) -> Figures:
    """What each can carry, and a rate at which all of them are compared: 70 % of what the slowest can."""
    rates: dict[str, list[float]] = {contestant.label: [] for contestant in contestants}
    for _ in range(PREPARATIONS):
        for contestant in contestants:
            with stage.open(contestant.peer, contestant.workload) as running:
                folder, port, load = running.site.folder, running.site.port, Load()
                run_load(load, contestant.workload, port, stage.settings.warm_up, folder)
                outcome = run_load(load, contestant.workload, port, min(stage.settings.seconds, 3), folder)
                rates[contestant.label].append(outcome.requests / outcome.seconds)
    saturation = {label: statistics.median(values) for label, values in rates.items()}
    return saturation | {COMMON: 0.7 * min(saturation.values())}


def _measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    saturation, settings = context[contestant.label], stage.settings
    rates = {str(share): saturation * share / 100 for share in SHARES} | {COMMON: context[COMMON]}
    figures: Figures = {"saturation": saturation}
    with stage.open(contestant.peer, contestant.workload) as running:
        site, targets = running.site, contestant.workload.targets
        for name, rate in rates.items():
            seen = run_schedule(site.port, targets, rate, settings.warm_up, settings.seconds, site.folder)
            figures |= {f"p50_{name}": seen.p50, f"p99_{name}": seen.p99, f"p999_{name}": seen.p999}
            figures[f"rate_{name}"] = rate
    return figures


LATENCY_SCENARIOS = (
    Scenario(
        name="latency",
        title="Latency with an open loop",
        description=(
            "HTTP/1.1 on a fixed schedule over 64 connections: at 30 % and 70 % of what each contestant can carry, and "
            "all at the same rate, 70 % of what the slowest can. Microseconds."
        ),
        contestants=tuple(
            Contestant(peer.name, peer, Workload()) for peer in (Tidegate(), Nginx(), Envoy(), Haproxy())
        ),
        figures=(
            Figure("p99_common", "p99, same rate", 0),
            Figure("p50_common", "p50, same rate", 0),
            Figure("p50_30", "p50 at 30 %", 0),
            Figure("p99_30", "p99 at 30 %", 0),
            Figure("p50_70", "p50 at 70 %", 0),
            Figure("p99_70", "p99 at 70 %", 0),
            Figure("saturation", "saturation, requests/s", 0),
        ),
        measure=_measure,
        prepare=_saturate,
    ),
)
