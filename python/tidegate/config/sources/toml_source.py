"""Reads TOML; its parser keeps no lines, so they are found from the headers of tables and the keys below them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tidegate.config.problem import Path
from tidegate.config.sources.tree import DEEPEST, BadTextError, Mark, Tree

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


def read(text: str) -> Tree:
    """Reads a text of one TOML document."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        match = _AT_LINE.search(message)
        message = _AT_LINE.sub("", message).replace(" (at end of document)", " at the end")
        line = int(match[1]) if match else text.count("\n") + 1
        raise BadTextError(Mark(line, "config.syntax", message[:1].lower() + message[1:])) from None
    except (RecursionError, ValueError):
        raise BadTextError(Mark(None, "config.syntax", "cannot be read")) from None
    if not _plain(value, 0):
        raise BadTextError(Mark(None, "config.syntax", f"nested more than {DEEPEST} levels deep"))
    return Tree(_simple(value), [], lambda: _lines(text))


def _plain(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth < DEEPEST and all(_plain(entry, depth + 1) for entry in value.values())
    if isinstance(value, list):
        return depth < DEEPEST and all(_plain(entry, depth + 1) for entry in value)
    return True


def _simple(value: Any) -> Any:
    """Dates and times, which no key of the document takes, become text."""
    if isinstance(value, dict):
        return {key: _simple(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_simple(entry) for entry in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def _lines(text: str) -> dict[Path, int]:
    lines: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _table(_parts(header[2]), header[1] == "[[", counts)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _table(names: Path, array: bool, counts: dict[Path, int]) -> Path:
    path: Path = ()
    for index, name in enumerate(names):
        path = (*path, name)
        if array and index == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
