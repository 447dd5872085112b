"""What reading a text gives, whatever it was written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tidegate.config.problem import Path

DEEPEST = 40
"""Levels of nesting that are read; no sensible document comes near."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A problem of the text itself, at a line counted from 1."""

    line: int | None
    code: str
    message: str
    hint: str | None = None
    path: Path = ()
    also: int | None = None
    """Another line the message ends with."""

    def moved(self, lines: int, path: Path) -> Mark:
        """The same problem in a text that begins so many lines earlier, at another path."""
        line = None if self.line is None else self.line + lines
        also = None if self.also is None else self.also + lines
        return Mark(line, self.code, self.message, self.hint, path, also)


def doubled_key(line: int, path: Path, first: int) -> Mark:
    """The problem of a key that is there twice; the later one counts."""
    return Mark(line, "config.duplicate_key", "this key is already there on line", None, path, first)


@dataclass
class Tree:
    """The data of a text, the problems of the text, and where each value stands (found only when asked for)."""

    value: Any
    marks: list[Mark] = field(default_factory=list)
    locate: Callable[[], dict[Path, int]] = dict

    @cached_property
    def _lines(self) -> dict[Path, int]:
        return self.locate()

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest one around it."""
        while path:
            line = self._lines.get(path)
            if line is not None:
                return line
            path = path[:-1]
        return self._lines.get((), 1)


class BadTextError(Exception):
    """A text that cannot be read at all."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(mark.message)
        self.mark = mark
