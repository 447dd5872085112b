"""One file of the document, as sections: lists of entries, and everything else by key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from tidegate.config import chunks
from tidegate.config.entry import MODELS, Entry
from tidegate.config.interpolate import Interpolation
from tidegate.config.problem import Finding, Path
from tidegate.config.sources import json_source, toml_source, yaml_source
from tidegate.config.sources.tree import BadTextError, Mark, Tree

SUFFIXES = {".yaml": yaml_source.read, ".yml": yaml_source.read, ".json": json_source.read, ".toml": toml_source.read}


@dataclass(slots=True)
class Section:
    """A top-level key of a file."""

    key: str
    tree: Tree
    offset: int
    """Lines before the text of `tree`."""
    prefix: Path
    """Where the value stands in `tree`."""
    value: Any = None
    findings: list[Finding] = field(default_factory=list)
    entries: list[Entry] | None = None
    offsets: list[int] | None = None
    """Lines before the text of each entry; `None`: as for the section."""


@dataclass(slots=True)
class Document:
    """A file, taken apart."""

    file: FilePath
    shown: str
    sections: list[Section] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    """Problems of the text itself, with lines of the whole file."""


Known = dict[str, Entry]


class Cache:
    """What is known from the last load, by text; what a load does not use again is forgotten."""

    def __init__(self) -> None:
        self._last: dict[tuple[FilePath, str, str], Known] = {}
        self._now: dict[tuple[FilePath, str, str], Known] = {}
        self._last_documents: dict[FilePath, tuple[str, Document]] = {}
        self._now_documents: dict[FilePath, tuple[str, Document]] = {}

    def items(self, folder: FilePath, key: str, indent: str) -> tuple[Known, Known]:
        """The entries of one kind by their text: those of the last load, and those of this one."""
        place = (folder, key, indent)
        return self._last.get(place, {}), self._now.setdefault(place, {})

    def document(self, file: FilePath, text: str) -> Document | None:
        """A file as it was read last time, when its text is the same."""
        known = self._last_documents.get(file)
        return known[1] if known is not None and known[0] == text else None

    def keep(self, file: FilePath, text: str, document: Document) -> None:
        """Keeps a whole file for the next load."""
        self._now_documents[file] = (text, document)

    def turn(self) -> None:
        """Ends a load."""
        self._last, self._now = self._now, {}
        self._last_documents, self._now_documents = self._now_documents, {}


def read_document(file: FilePath, shown: str, text: str, filling: Interpolation, cache: Cache) -> Document:
    """Takes a file apart, by chunks where its text allows that."""
    read = SUFFIXES.get(file.suffix.lower(), yaml_source.read)
    if read is yaml_source.read:
        text = text if text.endswith("\n") else f"{text}\n"
        parts = chunks.split(text)
        if parts is not None and (document := _by_chunks(Document(file, shown), parts, filling, cache)) is not None:
            return document
    known = cache.document(file, text) if "${" not in text else None
    if known is None:
        known = Document(file, shown)
        try:
            tree = read(text)
        except BadTextError as error:
            known.marks.append(error.mark)
        else:
            known.marks += tree.marks
            _whole(known, tree, filling)
    cache.keep(file, text, known)
    return known


def _whole(document: Document, tree: Tree, filling: Interpolation) -> None:
    """All sections from the data of a whole file."""
    if tree.value is None:
        return
    if not isinstance(tree.value, dict):
        message = "a document is a mapping with keys such as `services` and `routes`"
        document.marks.append(Mark(tree.line(()), "config.wrong_type", message))
        return
    for key, value in tree.value.items():
        document.sections.append(_section(key, value, tree, 0, filling))


def _section(key: str, value: Any, tree: Tree, offset: int, filling: Interpolation) -> Section:
    section = Section(key, tree, offset, (key,))
    if key in MODELS and isinstance(value, list):
        section.entries = []
        for index, raw in enumerate(value):
            findings: list[Finding] = []
            data = filling.fill(raw, findings)
            section.entries.append(Entry(key, data, tree, (key, index), findings))
    else:
        section.value = filling.fill(value, section.findings)
    return section


def _by_chunks(document: Document, parts: list[chunks.Part], filling: Interpolation, cache: Cache) -> Document | None:
    """The same from the parts of a file; `None` when one of them cannot be understood by itself."""
    try:
        for part in parts:
            single = part.items is None
            section = _single(document, part, filling) if single else _list(document, part, filling, cache)
            if section is None:
                return None
            document.sections.append(section)
    except BadTextError:
        return None
    return document


def _single(document: Document, part: chunks.Part, filling: Interpolation) -> Section | None:
    tree = yaml_source.read(part.text, simple=True)
    if not isinstance(tree.value, dict) or list(tree.value) != [part.key]:
        return None
    for mark in tree.marks:
        document.marks.append(mark.moved(part.line, mark.path))
    return _section(part.key, tree.value[part.key], tree, part.line, filling)


def _list(document: Document, part: chunks.Part, filling: Interpolation, cache: Cache) -> Section | None:
    last, now = cache.items(filling.folder, part.key, part.indent)
    entries: list[Entry] = []
    offsets: list[int] = []
    line = part.first
    for text in part.items or ():
        entry = last.get(text)
        if entry is None or entry.raw is not None:
            entry = _refilled(entry, filling) if entry is not None else _item(part, text, filling)
            if entry is None:
                return None
        now[text] = entry
        if entry.marks:
            place: Path = (part.key, len(entries))
            document.marks += [mark.moved(line, (*place, *mark.path[1:])) for mark in entry.marks]
        entries.append(entry)
        offsets.append(line)
        line += text.count("\n") + 1
    return Section(part.key, Tree(None), part.line, (), entries=entries, offsets=offsets)


def _item(part: chunks.Part, text: str, filling: Interpolation) -> Entry | None:
    """The entry of one item, read by itself."""
    text = f"{part.indent}- {text}\n"
    tree = yaml_source.read(text, simple=True, depth=1)
    if not isinstance(tree.value, list) or len(tree.value) != 1:
        return None
    raw = tree.value[0]
    if "${" not in text:
        entry = Entry(part.key, raw, tree, (0,), [], text)
        entry.marks = tree.marks
        return entry
    findings: list[Finding] = []
    entry = Entry(part.key, filling.fill(raw, findings), tree, (0,), findings)
    entry.marks = tree.marks
    entry.raw = raw
    return entry


def _refilled(entry: Entry, filling: Interpolation) -> Entry:
    """The same entry, unless the environment or a file has brought other values."""
    findings: list[Finding] = []
    data = filling.fill(entry.raw, findings)
    if data == entry.filled and findings == entry.fill_findings:
        return entry
    fresh = Entry(entry.kind, data, entry.tree, entry.prefix, findings)
    fresh.marks = entry.marks
    fresh.raw = entry.raw
    return fresh
