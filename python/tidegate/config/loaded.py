"""A document that loaded: the plan, and what the process needs beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from tidegate.config.problem import Path, Problem

_PLAN_PATH = re.compile(r"\[(\d+)\]|([^.\[\]]+)")

Place = Callable[[str, int, Path], tuple[str, str | None, int | None]]
"""Kind, index in the plan and path below it, to path in the document, file and line."""


@dataclass(frozen=True, slots=True)
class HandlerReference:
    """A Python function that routes use; its place in the list is its number in the plan."""

    name: str
    target: str | Callable[..., Any]
    """`module:function`, or the function itself where the gateway was made in Python."""
    places: tuple[tuple[str, str | None, int | None], ...] = ()
    """Path, file and line of each use."""


@dataclass(frozen=True)
class Loaded:
    """A document that loaded."""

    plan: bytes = field(repr=False)
    """What the engine takes."""
    handlers: tuple[HandlerReference, ...]
    admin: str | None
    """`IP:PORT` or `unix:/path` of the admin listener; `None`: off."""
    workers: int | None
    """Worker threads; `None`: one for each processor."""
    drain_timeout_ms: int
    files: tuple[FilePath, ...]
    """Every file that was read: the document, and what it names. A watcher watches these."""
    folders: tuple[FilePath, ...]
    """Folders whose files make up the document; a watcher watches for new ones."""
    place: Place = field(repr=False)
    written: Callable[[], dict[str, Any]] = field(repr=False)
    """The document as data. It holds secrets; `redacted(loaded.written())` is what may be shown."""
    secrets: Mapping[str, str] = field(repr=False)
    """What came from the environment or from files, and the reference that stands for it."""

    def problem(self, plan_path: str, code: str, message: str, hint: str | None = None) -> Problem:
        """A problem the engine found, with its place in the document. `plan_path` is such as `routes[3].paths[0]`."""
        parts: list[str | int] = [int(index) if index else name for index, name in _PLAN_PATH.findall(plan_path)]
        if len(parts) >= 2 and isinstance(parts[0], str) and isinstance(parts[1], int):
            path, file, line = self.place(parts[0], parts[1], tuple(parts[2:]))
            return Problem(code, message, path, file, line, hint).without(self.secrets)
        return Problem(code, message, plan_path, hint=hint).without(self.secrets)

    def problems(self, found: Iterable[tuple[str, str, str]]) -> list[Problem]:
        """The problems that `compile_plan` found: plan path, code and message of each."""
        return sorted((self.problem(*entry) for entry in found), key=Problem.order)
