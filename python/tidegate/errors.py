"""The exceptions of Tidegate.

TidegateError
├── ConfigError        the document has problems: all of them, with their places
├── PlanError          the engine refused a plan; a mistake of ours, not of the document
└── UsageError         a command or a call was used wrongly
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.config.problem import Problem


class TidegateError(Exception):
    """The root of all exceptions that Tidegate raises on purpose."""


class ConfigError(TidegateError):
    """The document has problems; `problems` holds every one, sorted by file and line.

    `str()` is the report for people, one problem a line with hints below.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=lambda problem: problem.order()))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PlanError(TidegateError):
    """The engine cannot decode a plan that we made: the two sides have drifted apart."""


class UsageError(TidegateError):
    """A command line or a call that cannot be carried out as it was written."""
