"""Splits block-style YAML into its top-level keys and the items of its lists, without parsing it.

A document of thousands of routes changes in one of them. Cut apart by indentation, every piece that is the same text
as before
need not be read again. The cuts are only made where they cannot change the meaning: a piece that is not understood by
itself,
or that reaches beyond itself (anchors, open quotes, several documents), sends the whole file down the ordinary path.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tidegate.config.entry import MODELS

_BREAKS = re.compile("[\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TOP = re.compile(r"\n(?=[^\s#-])")
_HEADER = re.compile(r"([A-Za-z_]\w*):", re.ASCII)
_EMPTY_LIST_HEADER = re.compile(r"[ ]*(#[^\n]*)?\n")
_PREAMBLE = re.compile(r"(?:[ ]*(?:#[^\n]*)?\n)*(?:---[ ]*(?:#[^\n]*)?\n(?:[ ]*(?:#[^\n]*)?\n)*)?")
_FIRST_ITEM = re.compile(r"(?:[ ]*(?:#[^\n]*)?\n)*([ ]*)- ")


class Part(NamedTuple):
    """A top-level key, with the text of its value."""

    key: str
    line: int
    """Lines of the file before it."""
    text: str
    """The whole text, where it is no list of entries."""
    indent: str
    """What stands before the `- ` of each item."""
    items: list[str] | None
    """The text of each item behind its `- `, without the last line break."""
    first: int
    """Lines of the file before the first item."""


def split(text: str) -> list[Part] | None:
    """The parts of a text that ends with a line break; `None` where it is safer not to cut."""
    if "\r" in text or (not text.isascii() and _BREAKS.search(text)):
        return None
    start = _PREAMBLE.match(text)
    at = start.end() if start else 0
    if at == len(text) or text.startswith(("%", "\ufeff")) or _UNPRINTABLE.search(text, 0, at):
        return None
    if text.find("\n---", max(at - 1, 0)) >= 0 or "\n..." in text or "\n%" in text:
        return None
    line = text.count("\n", 0, at)
    parts = []
    keys = set()
    for section in _TOP.split(text[at:-1]):
        part = _part(section, line)
        if part is None or part.key in keys:
            return None
        keys.add(part.key)
        parts.append(part)
        line += section.count("\n") + 1
    return parts


def _part(section: str, line: int) -> Part | None:
    header = _HEADER.match(section)
    if header is None:
        return None
    key = header[1]
    text = section + "\n"
    if key not in MODELS:
        return Part(key, line, text, "", None, 0)
    rest = _EMPTY_LIST_HEADER.match(text, header.end())
    if rest is None:
        return Part(key, line, text, "", None, 0)
    first = _FIRST_ITEM.match(text, rest.end())
    if _UNPRINTABLE.search(text, 0, first.end() if first else rest.end()):  # what no piece would bring to the parser
        return None
    if first is None:
        return Part(key, line, text, "", None, 0)
    items = section[first.end() :].split(f"\n{first[1]}- ")
    return Part(key, line, text, first[1], items, line + text.count("\n", 0, first.end()))
