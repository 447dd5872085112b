"""How commands speak: data to stdout, problems and notes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tidegate.config import Problem
from tidegate.config.problem import count


def data(text: str) -> None:
    """What was asked for."""
    print(text)


def data_json(value: Any) -> None:
    """What was asked for, as a program reads it."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Anything else."""
    print(text, file=sys.stderr)


def problems(found: Iterable[Problem], *, warning: bool = False) -> None:
    """Problems, one a line with their hints."""
    for problem in found:
        text = str(problem)
        note(f"warning: {text}" if warning else text)


def summary(found: Sequence[Problem]) -> str:
    """How many there are."""
    return count(len(found), "problem")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one as long as it likes."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    out = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        out.append("  ".join([*cells, line[-1]]).rstrip())
    return "\n".join(out)
