"""Runs the tests that stand beside a document.

`gateway.test.yaml` has requests and what is to become of them: the route, the answer, what services get, which policy
refuses. Each test starts a real gateway on a free port, with services that do as the test says; nothing else is
touched. The exit code is 1 when a test fails or a file has problems.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tidegate.cli import report
from tidegate.errors import UsageError


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file of tests, the document beside it, or a folder with such files anywhere below",
    )
    parser.add_argument("-k", dest="text", metavar="TEXT", help="only tests whose name has this text")
    parser.add_argument("--junit", metavar="FILE", help="write the outcome as JUnit's XML, too")
    parser.add_argument(
        "--fail-under", type=float, metavar="PERCENT", help="fail when fewer of a document's routes were reached"
    )


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    from tidegate.config.problem import Problem
    from tidegate.errors import ConfigError
    from tidegate.testing.suite import junit
    from tidegate.testing.suite.coverage import coverages
    from tidegate.testing.suite.read import files_of, read
    from tidegate.testing.suite.report import lines_of, summary
    from tidegate.testing.suite.run import run

    if arguments.fail_under is not None and not 0 <= arguments.fail_under <= 100:
        raise UsageError("`--fail-under` takes a number from 0 to 100")
    problems: list[Problem] = []
    outcomes = []
    for path in files_of([Path(file) for file in arguments.files]):
        try:
            file = read(path)
            report.data(str(path))
            for index, case in enumerate(file.suite.tests):
                if arguments.text is None or arguments.text in case.name:
                    outcomes.append(run(file, case, index))
                    report.data("\n".join(lines_of(outcomes[-1])))
                    sys.stdout.flush()
        except ConfigError as error:
            problems += error.problems
            report.problems(error.problems)
    if not outcomes and not problems:
        raise UsageError(f"no test has `{arguments.text}` in its name")
    # Of some tests, there is nothing to be said about the routes.
    covered = coverages(outcomes) if arguments.text is None else []
    report.data("\n".join(summary(outcomes, covered)))
    if problems:
        report.note(report.summary(problems))
    if arguments.junit is not None:
        junit.write(Path(arguments.junit), outcomes)
    low = [one for one in covered if arguments.fail_under is not None and one.percent < arguments.fail_under]
    for one in low:
        report.note(f"{one.document}: {one.percent:.0f} % of the routes reached, less than {arguments.fail_under:g} %")
    return 1 if problems or low or any(not outcome.passed for outcome in outcomes) else 0
