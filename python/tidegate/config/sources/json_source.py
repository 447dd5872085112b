"""Reads JSON, with doubled keys as problems and a line for every value."""

from __future__ import annotations

import json
import re
from typing import Any

from tidegate.config.problem import Path
from tidegate.config.sources.tree import DEEPEST, BadTextError, Mark, Tree, doubled_key

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def read(text: str) -> Tree:
    """Reads a text of one JSON value."""
    doubled = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        value = dict(items)
        doubled = doubled or len(value) != len(items)
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_constant)
    except json.JSONDecodeError as error:
        message = error.msg[:1].lower() + error.msg[1:]
        hint = "JSON has no comma after the last value and no comments" if "property name" in message else None
        raise BadTextError(Mark(error.lineno, "config.syntax", message, hint)) from None
    except RecursionError:
        raise BadTextError(Mark(None, "config.syntax", "nested too deeply")) from None
    except ValueError as error:
        raise BadTextError(Mark(None, "config.syntax", str(error))) from None
    if is_deeper(value, DEEPEST):
        raise BadTextError(Mark(None, "config.syntax", f"nested more than {DEEPEST} levels deep"))
    if not _encodable(text, value):
        raise BadTextError(Mark(None, "config.syntax", "half of a surrogate pair is no text"))
    return Tree(value, _Scan(text).marks if doubled else [], lambda: _Scan(text).lines)


def _constant(name: str) -> Any:
    raise ValueError(f"`{name}` is not JSON")


def _encodable(text: str, value: Any) -> bool:
    """Whether all text of a value can be written as UTF-8; only an escape can bring what cannot."""
    if "\\ud" not in text.lower():
        return True
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings are nested deeper than so many levels."""
    level = [value]
    for _ in range(levels + 1):
        level = [one for one in level if isinstance(one, dict | list | tuple)]
        if not level:
            return False
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return True


class _Scan:
    """Walks over the tokens of a text that is known to be JSON, and writes down where values are."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.finditer(text)
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.marks: list[Mark] = []
        self.value(self.token(), ())

    def token(self) -> str:
        match = next(self.tokens)
        self.line += self.text.count("\n", self.at, match.start())
        self.at = match.start()
        return match[0]

    def value(self, token: str, path: Path) -> None:
        self.lines.setdefault(path, self.line)
        if token == "{":
            self.mapping(path)
        elif token == "[":
            index = 0
            while (token := self.token()) != "]":
                if token != ",":
                    self.value(token, (*path, index))
                    index += 1

    def mapping(self, path: Path) -> None:
        seen: dict[str, int] = {}
        while (token := self.token()) != "}":
            if token == ",":
                continue
            name = json.loads(token, strict=False)
            if name in seen:
                self.marks.append(doubled_key(self.line, (*path, name), seen[name]))
            seen[name] = self.line
            self.lines[(*path, name)] = self.line
            self.token()
            self.value(self.token(), (*path, name))
