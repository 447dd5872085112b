"""Finds what a document itself cannot tell: the engine compiles its plan, and its handlers are imported.

Nothing is served. A document that has problems already is looked through as far as it is sound, so that all problems
are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.config.loaded import Loaded, Planned
from tidegate.config.precedence import native
from tidegate.config.problem import Problem
from tidegate.errors import ConfigError, PlanError


def verified(load: Callable[[], Loaded]) -> Loaded:
    """What `load` gives, with nothing wrong; `ConfigError` has what it, the engine and the imports find."""
    try:
        loaded = load()
    except ConfigError as error:
        raise with_all(error) from None
    if problems := found(loaded):
        raise ConfigError(problems, loaded.files)
    return loaded


def with_all(error: ConfigError) -> ConfigError:
    """The error with what the engine and the imports find in the sound part of the document."""
    if error.rest is None:
        return error
    try:
        more = found(error.rest())
    except ConfigError as other:
        more = list(other.problems)
    except PlanError:
        # What was left did not make a plan. The known problems are told all the same.
        more = []
    known = error.problems
    return ConfigError(
        [*known, *(problem for problem in more if not _is_told(problem, known))], error.files, included=error.included
    )


def found(planned: Planned) -> list[Problem]:
    """What the engine and the imports find in a plan."""
    from tidegate.extend import handlers

    compiled = planned.problems(native().compile_plan(planned.plan))
    return sorted({*compiled, *handlers.check(planned.handlers)}, key=Problem.order)


def _is_told(problem: Problem, known: Sequence[Problem]) -> bool:
    """Whether the value is known to be wrong already; what is left of it is no news."""
    return any(problem.path == other.path and problem.file == other.file for other in known)
