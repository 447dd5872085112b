"""Which routes of a document the tests have reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tidegate.testing.suite.run import Outcome, routes_of


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
    reached: dict[Path, set[str]] = {}
    environments: dict[Path, dict[str, str]] = {}
    for outcome in outcomes:
        document = outcome.file.document
        reached.setdefault(document, set()).update(outcome.routes)
        environments.setdefault(document, {}).update(outcome.file.suite.environment)
    out = []
    for document, names in reached.items():
        routes = routes_of(document, environments[document])
        missed = {name: where for name, where in routes.items() if name not in names}
        out.append(Coverage(document, routes, missed))
    return out
