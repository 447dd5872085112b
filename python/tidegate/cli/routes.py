"""Prints all routes in the order of precedence.

The first line that fits a request takes it. A route with several hosts or paths has a line for each. Marked are lines
that can
never be reached, because routes before them take everything, and lines that share some requests with others.
"""

from __future__ import annotations

import argparse

from tidegate.cli import engine, report
from tidegate.config.load import check
from tidegate.config.precedence import Line, table
from tidegate.config.warnings import warnings

_KINDS = {"same": "same paths as", "within": "within", "contains": "contains", "partial": "overlaps"}


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="a YAML, JSON or TOML file, or a folder of them")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    loaded = check(arguments.file)
    lines = table(loaded)
    actions = engine.actions(loaded)
    if arguments.json:
        report.data_json([{**line, "action": actions[line["route"]]} for line in lines])
        return 0
    head = ("", "ROUTE", "HOST", "PATH", "METHODS", "CONDITIONS", "ANSWERS", "NOTES")
    report.data(report.table(head, [_row(number, line, actions) for number, line in enumerate(lines, 1)]))
    report.problems(warnings(loaded), warning=True)
    return 0


def _row(number: int, line: Line, actions: list[str]) -> tuple[str, ...]:
    return (
        str(number),
        line["name"],
        line["host"] or "*",
        line["path"] or "*",
        ",".join(line["methods"]) or "*",
        ", ".join(line["conditions"]) or "-",
        actions[line["route"]],
        _notes(line),
    )


def _notes(line: Line) -> str:
    if line["shadowed_by"]:
        return f"SHADOWED by {', '.join(line['shadowed_by'])}"
    return "; ".join(
        f"{_KINDS.get(overlap['kind'], overlap['kind'])} {overlap['name']}" for overlap in line["overlaps"]
    )
