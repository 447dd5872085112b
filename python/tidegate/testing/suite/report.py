"""How outcomes are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.config.problem import Path, count, printable, render_path
from tidegate.testing.suite.coverage import Coverage
from tidegate.testing.suite.run import Outcome


def place(outcome: Outcome, where: Path) -> str:
    """File, line and path of a part of a test."""
    return f"{outcome.file.file}:{outcome.file.line(where)}  {render_path(where)}:"


def lines_of(outcome: Outcome) -> Iterable[str]:
    """One test: a line, and one for each failure."""
    mark = "ok    " if outcome.passed else "FAILED"
    yield f"  {mark}  {printable(outcome.name)}  ({outcome.seconds * 1000:.0f} ms)"
    for where, what in outcome.failures:
        shown = "\n".join(printable(line) for line in what.splitlines())
        yield f"{place(outcome, where)} {shown}"


def summary(outcomes: Sequence[Outcome], coverages: Sequence[Coverage]) -> Iterable[str]:
    """The last lines: how many passed, and which routes no test has reached."""
    failed = sum(not outcome.passed for outcome in outcomes)
    passed = f"{count(len(outcomes), 'test')}: {len(outcomes) - failed} passed"
    yield passed + (f", {failed} failed" if failed else "")
    for coverage in coverages:
        reached = f"{coverage.reached} of {count(len(coverage.routes), 'route')} reached"
        yield f"{coverage.document}: {reached} ({coverage.percent:.0f} %)"
        for name, where in coverage.missed.items():
            yield f"  {where}  `{name}` was not reached"
