"""The command line: `python -m benchmarks [setup | run | report]`."""

import argparse
import os
import resource
import sys
from dataclasses import replace

from benchmarks import report, toolbox
from benchmarks.places import LOAD_CORE, PAGE, REPOSITORY
from benchmarks.processes import BenchmarkError
from benchmarks.rounds import run_scenario
from benchmarks.scenarios import SCENARIOS
from benchmarks.stage import Settings, Stage


def main(arguments: list[str] | None = None) -> int:
    """Sets up, runs the scenarios and writes the page; the exit code is 1 when something could not run."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "report":
            _write_page()
            return 0
        toolbox.set_up()
        if given.command == "run":
            _run(given)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Tidegate beside its peers.")
    parser.add_argument(
        "command",
        nargs="?",
        default="run",
        choices=("run", "setup", "report"),
        help="run (the default) sets up and measures; report writes docs/benchmarks.md from the last results",
    )
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="only this one; may be repeated")
    parser.add_argument("--contestant", action="append", default=[], help="only this peer; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each contestant (5)")
    parser.add_argument("--seconds", type=int, help="seconds of each round that are counted (5)")
    parser.add_argument("--quick", action="store_true", help="short rounds, to see that all works; nothing is kept")
    return parser


def _run(given: argparse.Namespace) -> None:
    settings = Settings.quick() if given.quick else Settings()
    if given.rounds:
        settings = replace(settings, rounds=given.rounds)
    if given.seconds:
        settings = replace(settings, seconds=given.seconds)
    _allow_many_connections()
    # What this process and its children do is load; only the contestants are put on the other core.
    os.sched_setaffinity(0, {LOAD_CORE})
    with Stage(settings) as stage:
        for name in given.scenario or list(SCENARIOS):
            result = run_scenario(SCENARIOS[name], stage, given.contestant)
            print("\n".join(report.section(SCENARIOS[name], result)), flush=True)
            if result.samples and not (given.quick or given.contestant):
                print(f"kept in {result.write().relative_to(REPOSITORY)}", file=sys.stderr)


def _allow_many_connections() -> None:
    """Raises the limit of open files for this process and those it starts, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _write_page() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(report.page())
    print(f"wrote {PAGE.relative_to(REPOSITORY)}")
