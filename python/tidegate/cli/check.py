"""Loads and compiles documents, and serves nothing.

Every problem is told, with its place and often a hint. Warnings, such as of routes that can never match,
change nothing: the exit code is 1 when a document has problems.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tidegate.cli import report
from tidegate.config import Problem
from tidegate.config.load import check
from tidegate.config.problem import count
from tidegate.config.warnings import warnings
from tidegate.errors import ConfigError


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a YAML, JSON or TOML file, or a folder of them")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    outcomes = [_check(Path(file)) for file in arguments.files]
    if arguments.json:
        report.data_json([outcome.to_json() for outcome in outcomes])
    else:
        for outcome in outcomes:
            outcome.show()
    return 1 if any(outcome.problems for outcome in outcomes) else 0


class _Outcome:
    def __init__(self, file: Path, problems: list[Problem], warnings: list[Problem], plan: dict[str, Any]) -> None:
        self.file = file
        self.problems = problems
        self.warnings = warnings
        self.counts = {kind: len(plan.get(kind, ())) for kind in ("listeners", "services", "routes")}

    def show(self) -> None:
        report.problems(self.problems)
        report.problems(self.warnings, warning=True)
        if self.problems:
            report.note(report.summary(self.problems))
        else:
            parts = ", ".join(count(number, kind[:-1]) for kind, number in self.counts.items())
            report.data(f"{self.file}: ok ({parts})")

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "ok": not self.problems,
            "problems": [problem.to_json() for problem in self.problems],
            "warnings": [problem.to_json() for problem in self.warnings],
            **({} if self.problems else self.counts),
        }


def _check(file: Path) -> _Outcome:
    try:
        loaded = check(file)
    except ConfigError as error:
        return _Outcome(file, list(error.problems), [], {})
    return _Outcome(file, [], warnings(loaded), json.loads(loaded.plan))
