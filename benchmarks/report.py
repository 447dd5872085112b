"""The page `docs/benchmarks.md`, made from the raw results."""

import re
from collections.abc import Iterable
from statistics import median

from benchmarks.places import RESULTS
from benchmarks.results import Result
from benchmarks.scenario import Goal, Scenario
from benchmarks.scenarios import SCENARIOS

INTRODUCTION = """\
# Benchmarks

This page is made by `python -m benchmarks report` from the raw results in `benchmarks/results/`; `make bench` takes
them anew.

## Method

- Two cores. The gateway has core 0 to itself; the load generator and the service share core 1.
- All contestants do the same work, from one description (`benchmarks/workload.py`): 200 routes to one service,
  `x-forwarded-for`, `-proto`, `-host` and `-port`, a fresh `x-request-id`, metrics on, access log off, bodies
  streamed. Each is tuned as its own documentation advises. Before a round is measured, its answers, and the headers
  that the service sees, are checked.
- CPU per request is user and system time of the gateway's whole process tree, divided by the requests that were
  answered. Unlike throughput it does not depend on how much of the core the load leaves unused.
- Rounds are interleaved (A B C, B C A, ...), each with a fresh process and a warm-up; a table shows the median of all
  rounds, with the least and the most. A round with an error is thrown out and said so.
- Latency is measured with an open loop: requests leave on a fixed schedule, and the clock starts when one was due.
- With a sick service: the p99 of the others is that of all their requests during the illness, over that of the seconds
  before it. "Once noticed" begins 2.5 s after the illness and takes in every request, also the trial calls that a
  breaker lets through to see whether the service is well again; beside it stand the p99 of the requests that were
  refused (503), and the share of those that were not. A gateway that refuses nothing has no p99 of that.
- The services that fall ill make room for their descriptors first. The kernel grows that table by doubling, and has a
  process with several threads wait for about 10 ms each time: all four stood still with the one that hung, whichever
  gateway was before them, and that was read as its p99. A gateway that stands still for this reason is not spared.
- Ratios are taken within one run. Absolute figures are those of a small virtual machine and compare with nothing else.
"""

APART = """\
## A token never seen, in the engine alone

What the policy `jwt` costs for a token that no worker has seen, beside the bare check of its RS256 signature (RSA,
2048 bits): taking it apart, its claims, the identity with three header lines, and the table that remembers it. `cargo
bench -p tidegate-engine --bench jose` on one core with `taskset`, without a gateway around it; signature and policy
take turns every 20 tokens. First 2,000 tokens for which the table has room, 15 times; then 12,000 in turn, more than
are remembered, so that an older one is forgotten for each and nothing of either is in the processor's cache. Each
column is a run; its figures are medians of 1,500 and 1,800 such turns, in microseconds. Other work shared the
machine: turns that it interrupted move the tails, which the raw output has, and hardly the medians.
"""
"""What is measured without a stage: the raw output of its runs is `results/jose.txt`."""
GLANCED_AT = ("nginx", "envoy", "haproxy", "uvicorn")
QUIET = 0.05
"""More of the machine than this in use by others makes a run doubtful."""


def page() -> str:
    """The whole page, from the results that are there."""
    taken = [(scenario, Result.read(name)) for name, scenario in SCENARIOS.items()]
    results = [(scenario, result) for scenario, result in taken if result is not None]
    lines = [INTRODUCTION, *_origin(result for _, result in results), "", "## Goals", ""]
    lines += ["| scenario | goal | measured | |", "|---|---|---|---|"]
    judged = [(scenario, goal, *_judge(result, goal)) for scenario, result in results for goal in scenario.goals]
    for scenario, goal, measured, verdict in judged:
        lines.append(f"| {scenario.title} | {_wording(scenario, goal)} | {measured} | {verdict} |")
    lines += ["", "## At a glance", "", *_glance(results)]
    lines += ["", "## Where we lose", "", *_losses(results), ""]
    for scenario, result in results:
        lines += section(scenario, result)
    lines += apart()
    missing = [scenario.title for scenario, result in taken if result is None]
    if missing:
        lines += ["## Not measured yet", "", *(f"- {title}" for title in missing), ""]
    return "\n".join(lines).rstrip() + "\n"


def apart() -> list[str]:
    """The runs of the engine's own benchmark of tokens."""
    file = RESULTS / "jose.txt"
    if not file.exists():
        return []
    runs = [dict(re.findall(r"^ *(.+?)  +([0-9.]+) us", run, re.MULTILINE)) for run in file.read_text().split("\n\n")]
    titles = list(runs[0])
    lines = [APART, "| |" + "".join(f" run {number} |" for number in range(1, len(runs) + 1))]
    lines.append("|---|" + "---:|" * len(runs))
    lines += [f"| {title} | " + " | ".join(run[title] for run in runs) + " |" for title in titles]
    lines.append("")
    for title in (title for title in titles if title.startswith("all but")):
        value = median(float(run[title]) for run in runs)
        lines.append(f"- {title} at most 3: {value:.2f}, {'met' if value <= 3 else '**not met**'}")
    return [*lines, ""]


def section(scenario: Scenario, result: Result) -> list[str]:
    """One scenario: its table, its goals, and what was thrown out."""
    lines = [f"## {scenario.title}", "", f"{scenario.description} (`--scenario {scenario.name}`)", ""]
    lines.append("| |" + "".join(f" {figure.title} |" for figure in scenario.figures))
    lines.append("|---|" + "---:|" * len(scenario.figures))
    for contestant in scenario.contestants:
        if contestant.label in result.absent:
            lines.append(
                f"| {contestant.label} | {result.absent[contestant.label]} |" + " |" * (len(scenario.figures) - 1)
            )
            continue
        cells = [_cell(result, contestant.label, figure.key, figure.digits) for figure in scenario.figures]
        lines.append(f"| {contestant.label} |" + "".join(f" {cell} |" for cell in cells))
    lines.append("")
    for goal in scenario.goals:
        measured, verdict = _judge(result, goal)
        lines.append(f"- {_wording(scenario, goal)}: {measured}, {verdict}")
    if result.busy_before > QUIET:
        share = f"{result.busy_before:.0%}"
        lines.append(f"- the machine was not quiet: {share} of it was in use before the run; times may be off")
    lines += [f"- thrown out: {message.splitlines()[0]}" for message in result.thrown_out]
    return [*lines, ""]


def _cell(result: Result, contestant: str, figure: str, digits: int) -> str:
    spread = result.spread(contestant, figure)
    if spread is None:
        return ""
    if spread.low == spread.high:
        return f"{spread.median:.{digits}f}"
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def _wording(scenario: Scenario, goal: Goal) -> str:
    title = next(figure.title for figure in scenario.figures if figure.key == goal.figure)
    whose = "" if goal.contestant == "tidegate" else f" of {goal.contestant}"
    if goal.over:
        return f"{title}{whose} at most {goal.at_most:g} more than {goal.over}"
    if goal.of is None:
        return f"{title}{whose} at most {goal.at_most:g}"
    return f"{title}{whose} at most {goal.at_most:.2f} of {goal.of}"


def _judge(result: Result, goal: Goal) -> tuple[str, str]:
    """What was measured for a goal, and whether that meets it."""
    value = _measured(result, goal)
    if value is None:
        return "", "not measured"
    return f"{value:.2f}", "met" if value <= goal.at_most else "**not met**"


def _measured(result: Result, goal: Goal) -> float | None:
    own = result.spread(goal.contestant, goal.figure)
    reference = goal.of or goal.over
    if own is None or reference is None:
        return own.median if own else None
    other = result.spread(reference, goal.figure)
    if other is None or other.median == 0:
        return None
    return own.median - other.median if goal.over else own.median / other.median


def _glance(results: list[tuple[Scenario, Result]]) -> list[str]:
    """The first figure of each scenario, as a ratio to each peer's."""
    lines = [
        "The first column of each scenario's table: Tidegate's, and how many times each peer's that is.",
        "",
        "| scenario | Tidegate |" + "".join(f" of {peer} |" for peer in GLANCED_AT),
        "|---|---:|" + "---:|" * len(GLANCED_AT),
    ]
    for scenario, result in results:
        figure = scenario.figures[0]
        own = result.spread("tidegate", figure.key)
        if own is None:
            continue
        others = [result.spread(peer, figure.key) for peer in GLANCED_AT]
        ratios = [f"{own.median / other.median:.2f}" if other and other.median else "" for other in others]
        value = f"{own.median:.{figure.digits}f} {figure.title}"
        lines.append(f"| {scenario.title} | {value} |" + "".join(f" {ratio} |" for ratio in ratios))
    return lines


def _losses(results: list[tuple[Scenario, Result]]) -> list[str]:
    """Every first figure in which a peer is better than Tidegate, however small the goal."""
    losses = []
    for scenario, result in results:
        figure = scenario.figures[0]
        own = result.spread("tidegate", figure.key)
        for contestant in scenario.contestants:
            other = result.spread(contestant.label, figure.key)
            if contestant.peer.name == "tidegate" or own is None or other is None:
                continue
            if other.median > own.median if figure.more_is_better else other.median < own.median:
                behind = f"{own.median:.{figure.digits}f} against {other.median:.{figure.digits}f}"
                losses.append(f"- {scenario.title}: {contestant.label} is ahead in {figure.title}, {behind}.")
    if not any(result.spread("tidegate", scenario.figures[0].key) for scenario, result in results):
        return ["Nothing is measured yet."]
    return losses or ["In none of the scenarios measured here is a peer ahead in the first column of its table."]


def _origin(results: Iterable[Result]) -> list[str]:
    """Machine and versions, from all results; where runs differ, all values are shown."""
    facts: dict[str, dict[str, None]] = {}
    for result in results:
        for name, value in {"taken": result.taken[:10], **result.machine, **result.versions}.items():
            facts.setdefault(name, {})[value] = None
    lines = ["## Machine and versions", "", "| | |", "|---|---|"]
    return lines + [f"| {name.replace('_', ' ')} | {', '.join(values)} |" for name, values in facts.items()]
