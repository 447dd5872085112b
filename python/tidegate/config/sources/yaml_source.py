"""Reads YAML through libyaml's parser.

Plain words mean what YAML 1.2 says: `no`, `on` and `off` are text, `012` is twelve, `1:30` is text. Keys are always
text. Anchors,
aliases and `<<` work; how much aliases may expand to is bounded, as small texts can stand for enormous documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from tidegate.config.problem import Path
from tidegate.config.sources.tree import DEEPEST, BadTextError, Mark, Tree, doubled_key

try:
    from yaml._yaml import CParser as Parser
except ImportError:  # a PyYAML built without libyaml

    class Parser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):  # type: ignore[no-redef]
        """The same events from PyYAML's own parser, slower."""

        def __init__(self, text: str) -> None:
            yaml.reader.Reader.__init__(self, text)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)


__all__ = ["MOST_ALIASED_VALUES", "Parser", "plain", "read"]

MOST_ALIASED_VALUES = 100_000
"""Values that all aliases of a text may stand for together."""

_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_RADIX = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,32}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("0123456789+-.")
_WORD_STARTS = frozenset("~nNtTfF")
_TAGS = {"tag:yaml.org,2002:str", "!"}


def read(text: str, *, simple: bool = False, depth: int = 0) -> Tree:
    """Reads a text of one document.

    `simple` refuses anchors, aliases and tags, which could reach beyond the text. `depth`: levels that are around it.
    """
    try:
        return _Reader(text if text.endswith("\n") else f"{text}\n", simple, depth).read()
    except yaml.MarkedYAMLError as error:
        raise BadTextError(_syntax(text, error)) from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
        raise BadTextError(Mark(line, "config.syntax", "special characters are not allowed")) from None
    except RecursionError:
        raise BadTextError(Mark(None, "config.syntax", "nested too deeply")) from None


def _syntax(text: str, error: yaml.MarkedYAMLError) -> Mark:
    mark: Any = error.problem_mark or error.context_mark
    if "end of stream" in (error.problem or "") and error.context_mark is not None:
        mark = error.context_mark  # where it began tells more than the end of the file
    message = " ".join(part for part in (error.problem, error.context) if part) or "cannot be read"
    line = None if mark is None else int(mark.line)
    return Mark(None if line is None else line + 1, "config.syntax", message.replace("`", "'"), _hint(text, line))


def _hint(text: str, number: int | None) -> str | None:
    lines = text.splitlines()
    if number is None or number >= len(lines):
        return None
    line = lines[number]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces; YAML does not allow tabs there"
    if re.search(r"[{,].*[:\[,]\s*\$\{", line):
        return 'put references in quotes between braces: `{secret: "${env:NAME}"}`'
    if re.search(r":\s+[*&%@`!]", line) or re.search(r"[\[,-]\s*[*@`%]", line):
        return "put values that begin with a special character in quotes"
    return None


def _locate(text: str, simple: bool, depth: int) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    _Reader(text, simple, depth, lines).read()
    return lines


class _Reader:
    def __init__(self, text: str, simple: bool, depth: int, lines: dict[Path, int] | None = None) -> None:
        self.text = text
        self.simple = simple
        self.depth = depth
        self.next: Callable[[], Any] = Parser(text).get_event
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.values = 0
        self.aliased = 0
        self.doubled = False
        self.lines = lines
        self.marks: list[Mark] = []

    def read(self) -> Tree:
        self.next()
        event: Any = self.next()
        if type(event) is StreamEndEvent:
            return Tree(None)
        value = self.node(self.next(), self.depth) if self.lines is None else self.located(self.next(), (), self.depth)
        self.next()
        after: Any = self.next()
        if type(after) is not StreamEndEvent:
            raise self.bad(after, "a file holds one document", "put the second one into a file of its own")
        marks = self.marks
        if self.doubled and self.lines is None:
            again = _Reader(self.text, self.simple, self.depth, {})
            again.read()
            marks = again.marks
        return Tree(value, marks, partial(_locate, self.text, self.simple, self.depth))

    def node(self, event: Any, depth: int) -> Any:
        """The value that begins with this event: the way taken when nothing is wrong."""
        kind = type(event)
        self.values += 1
        before = self.values
        value: Any
        if kind is ScalarEvent:
            value = self.scalar(event)
        elif kind is AliasEvent:
            return self.alias(event)
        elif kind is MappingStartEvent:
            self.check(event, depth)
            value = {}
            merges = []
            following = self.next
            while type(key := following()) is not MappingEndEvent:
                name = self.key(key)
                entry = self.node(following(), depth + 1)
                if name == "<<" and type(key) is ScalarEvent and key.implicit[0]:
                    merges.append((entry, key))
                else:
                    if name in value:
                        self.doubled = True
                    value[name] = entry
            for entry, key in merges:
                self.merge(value, entry, key)
        else:
            self.check(event, depth)
            value = []
            following = self.next
            while type(entry := following()) is not SequenceEndEvent:
                value.append(self.node(entry, depth + 1))
        if event.anchor is not None:
            self.anchor(event, value, self.values - before + 1)
        return value

    def located(self, event: Any, path: Path, depth: int) -> Any:
        """The same, with lines and doubled keys written down: the way taken to report problems."""
        lines = self.lines if self.lines is not None else {}
        kind = type(event)
        lines.setdefault(path, event.start_mark.line + 1)
        if kind is ScalarEvent or kind is AliasEvent:
            return self.node(event, depth)
        before = self.values
        value: Any
        if kind is MappingStartEvent:
            self.check(event, depth)
            value = {}
            merges = []
            seen: dict[str, int] = {}
            while type(key := self.next()) is not MappingEndEvent:
                name = self.key(key)
                line = key.start_mark.line + 1
                if name == "<<" and type(key) is ScalarEvent and key.implicit[0]:
                    merges.append((self.node(self.next(), depth + 1), key))
                    continue
                if name in seen:
                    self.marks.append(doubled_key(line, (*path, name), seen[name]))
                seen[name] = line
                lines[(*path, name)] = line
                value[name] = self.located(self.next(), (*path, name), depth + 1)
            for entry, key in merges:
                self.merge(value, entry, key)
        else:
            self.check(event, depth)
            value = []
            while type(entry := self.next()) is not SequenceEndEvent:
                value.append(self.located(entry, (*path, len(value)), depth + 1))
        if event.anchor is not None:
            self.anchor(event, value, self.values - before + 1)
        return value

    def check(self, event: Any, depth: int) -> None:
        if depth >= DEEPEST:
            raise self.bad(event, f"nested more than {DEEPEST} levels deep")
        if event.tag is not None:
            raise self.bad(event, f"the tag `{event.tag}` is not supported")

    def key(self, event: Any) -> str:
        if type(event) is AliasEvent:
            value = self.alias(event)
        elif type(event) is ScalarEvent:
            if event.anchor is not None:
                self.anchor(event, event.value, 1)
            return str(event.value)
        else:
            value = None
        if not isinstance(value, str):
            raise self.bad(event, "a key must be text")
        return value

    def scalar(self, event: Any) -> Any:
        text = event.value
        if event.implicit[0]:
            return plain(text)
        if event.tag is not None and event.tag not in _TAGS and not event.implicit[1]:
            raise self.bad(event, f"the tag `{event.tag}` is not supported")
        if self.simple and event.tag is not None:
            raise self.bad(event, "a tag")
        return text

    def anchor(self, event: Any, value: Any, size: int) -> None:
        if self.simple:
            raise self.bad(event, "an anchor")
        self.anchors[event.anchor] = (value, size)

    def alias(self, event: Any) -> Any:
        if self.simple:
            raise self.bad(event, "an alias")
        if event.anchor not in self.anchors:
            raise self.bad(
                event, f"no anchor `&{event.anchor}` stands before this", "put text that begins with `*` in quotes"
            )
        value, size = self.anchors[event.anchor]
        self.aliased += size
        self.values += size
        if self.aliased > MOST_ALIASED_VALUES:
            raise self.bad(event, f"aliases stand for more than {MOST_ALIASED_VALUES} values")
        return value

    def merge(self, into: dict[str, Any], entry: Any, key: Any) -> None:
        for part in entry if isinstance(entry, list) else [entry]:
            if not isinstance(part, dict):
                raise self.bad(key, "`<<` takes a mapping or a list of mappings")
            for name, value in part.items():
                into.setdefault(name, value)

    @staticmethod
    def bad(event: Any, message: str, hint: str | None = None) -> BadTextError:
        return BadTextError(Mark(event.start_mark.line + 1, "config.syntax", message, hint))


def plain(text: str) -> Any:
    """What an unquoted word means."""
    first = text[:1]
    if first in _NUMBER_STARTS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _RADIX.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text
    if first in _WORD_STARTS or not first:
        return _WORDS.get(text, text)
    return text
