"""Which routes of a document the tests have reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tidegate.testing.suite.run import Outcome, same


@dataclass
class Coverage:
    """The routes of a document, and those that took a request of some test."""

    document: Path
    routes: dict[str, str]
    """Where each of them stands."""
    missed: dict[str, str]
    """Those that took none."""

    @property
    def reached(self) -> int:
        """How many took a request."""
        return len(self.routes) - len(self.missed)

    @property
    def percent(self) -> float:
        """The part that was reached; of no routes, all."""
        return 100 * self.reached / len(self.routes) if self.routes else 100.0


def coverages(outcomes: Iterable[Outcome]) -> list[Coverage]:
    """One for each document that was tested, whatever number of files tests it."""
    of_each: dict[Path, list[Outcome]] = {}
    for outcome in outcomes:
        of_each.setdefault(outcome.file.document, []).append(outcome)
    return [one for document, tests in of_each.items() for one in _of_document(document, tests)]


def _of_document(document: Path, tests: list[Outcome]) -> Iterable[Coverage]:
    """Of an included document alone, where all tests stand beside such: no team is told of the others' routes."""
    routes = {name: where for test in tests for name, where in test.known.items()}
    reached = {name for test in tests for name in test.routes}
    owners = {name: same(Path(where.rpartition(":")[0])) for name, where in routes.items()}
    beside = dict.fromkeys(test.file.beside for test in tests)
    if all(same(file) in owners.values() and same(file) != same(document) for file in beside):
        for file in beside:
            yield _counted(file, {name: routes[name] for name in routes if owners[name] == same(file)}, reached)
    else:
        yield _counted(document, routes, reached)


def _counted(document: Path, routes: dict[str, str], reached: set[str]) -> Coverage:
    return Coverage(document, routes, {name: where for name, where in routes.items() if name not in reached})
