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


class Cache:
    """What is known from the last load, by text; what a load does not use again is forgotten."""

    def __init__(self) -> None:
        self.last: dict[tuple[FilePath, str, str], Any] = {}
        self.now: dict[tuple[FilePath, str, str], Any] = {}

    def turn(self) -> None:
        """Ends a load."""
        self.last, self.now = self.now, {}


def read_document(file: FilePath, shown: str, text: str, filling: Interpolation, cache: Cache) -> Document:
    """Takes a file apart, by chunks where its text allows that."""
    reader = SUFFIXES.get(file.suffix.lower(), yaml_source.read)
    document = Document(file, shown)
    if reader is yaml_source.read:
        split = chunks.split(text)
        if split is not None and _by_chunks(document, split, filling, cache):
            return document
    document = Document(file, shown)
    try:
        tree = reader(text)
    except BadTextError as error:
        document.marks.append(error.mark)
        return document
    document.marks += tree.marks
    _whole(document, tree, filling)
    return document


def _whole(document: Document, tree: Tree, filling: Interpolation) -> None:
    """All sections from the data of a whole file."""
    if tree.value is None:
        return
    if not isinstance(tree.value, dict):
        message = "a document is a mapping with keys such as `services` and `routes`"
        document.marks.append(Mark(tree.line(()), "config.wrong_type", message))
        return
    for key, value in tree.value.items():
        section = Section(key, tree, 0, (key,))
        if key in MODELS and isinstance(value, list):
            section.entries = []
            for index, raw in enumerate(value):
                findings: list[Finding] = []
                data = filling.fill(raw, findings)
                section.entries.append(Entry(key, data, tree, (key, index), findings))
        else:
            section.value = filling.fill(value, section.findings, ())
        document.sections.append(section)


def _by_chunks(document: Document, split: list[chunks.Chunk], filling: Interpolation, cache: Cache) -> bool:
    """The same from the chunks of a file; false when one of them cannot be understood by itself."""
    raise NotImplementedError
