"""Documents that are included and have problems: the others serve all the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidegate.config import Loaded, Problem
from tidegate.config.include import Broken, Included, Instead
from tidegate.config.verify import found, with_all
from tidegate.errors import ConfigError

LOG = logging.getLogger("tidegate.serve")

Load = Callable[[Instead], Loaded]
"""Loads with texts in the place of those of included documents; raises `ConfigError`."""


_DOUBLE = "config.duplicate_name"


@dataclass
class _Loading:
    """How far one load has come."""

    instead: dict[Path, str | None] = field(default_factory=dict)
    """What documents with problems are taken to be."""
    broken: dict[Path, list[Problem]] = field(default_factory=dict)
    rounds: int = 0


class IncludedDocuments:
    """Remembers how included documents were last good, and puts that in the place of one that is broken."""

    def __init__(self) -> None:
        self._good: dict[Path, str] = {}

    def load(self, load: Load) -> Loaded:
        """Loads what is sound. Raises `ConfigError` with all problems when that is not enough.

        A document is broken by every problem that has its place there. Then it is loaded again as it was last good, or
        without it, until nothing is wrong with the rest.
        """
        state = _Loading()
        while True:
            try:
                loaded = load(state.instead)
                error = ConfigError(found(loaded) if loaded.included else (), loaded.files, included=loaded.included)
                if not error.problems:
                    return self._sound(loaded, state)
            except ConfigError as refused:
                error = with_all(refused)
            state.rounds += 1
            if state.rounds > 2 * len(error.included) or not self._set_aside(error, state):
                known = [problem for problems in state.broken.values() for problem in problems]
                raise ConfigError([*error.problems, *known], error.files) from None

    def _set_aside(self, error: ConfigError, state: _Loading) -> bool:
        """Takes documents with problems out; false where some problem is another's."""
        by_name = {str(one.file): one for one in error.included if one.on_error != "refuse"}
        of_each: dict[Path, list[Problem]] = {}
        for problem in error.problems:
            one = by_name.get(problem.file or "")
            if one is not None and one.file in state.instead:
                one = _in_the_way(problem, by_name, state)
            if one is None:
                # Another's, or one that was good does not fit what is around it now: who changed that is to be told.
                return False
            of_each.setdefault(one.file, []).append(problem)
        # Whose name is there already may be well, once the other is out.
        sure = {file: own for file, own in of_each.items() if any(problem.code != _DOUBLE for problem in own)}
        for file, own in (sure or of_each).items():
            state.broken[file] = own
            keeps = by_name[str(file)].on_error == "keep_last"
            state.instead[file] = self._good.get(file) if keeps else None
        return True

    def _sound(self, loaded: Loaded, state: _Loading) -> Loaded:
        files = {one.file for one in loaded.included}
        self._good = {file: text for file, text in loaded.documents.items() if file in files}
        told = tuple(
            Broken(str(file), "kept" if file in self._good else "left_out", tuple(problems))
            for file, problems in state.broken.items()
        )
        return replace(loaded, broken=told)


def _in_the_way(problem: Problem, by_name: Mapping[str, Included], state: _Loading) -> Included | None:
    """The document that has taken a name which another one had as it was last good; that one is well, then."""
    if problem.code != _DOUBLE or problem.file is None:
        return None
    # The message ends with the place where the name is already.
    other = by_name.get(problem.message.rpartition(" in ")[2].rpartition(":")[0])
    if other is None or other.file in state.instead:
        return None
    file = Path(problem.file)
    if all(known.code == _DOUBLE for known in state.broken[file]):
        del state.broken[file], state.instead[file]
    return other


def tell_of_broken(loaded: Loaded) -> None:
    """Says in the log which included documents have problems, and what serves instead."""
    for broken in loaded.broken:
        what = "it serves as it was last good" if broken.state == "kept" else "its routes are left out"
        lines = "\n".join(map(str, broken.problems))
        LOG.error("included document refused file=%s state=%s\n%s\n%s", broken.file, broken.state, lines, what)
