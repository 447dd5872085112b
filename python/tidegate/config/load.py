"""Loads a document: files in, plan or problems out. The one way in, for the command line, the watcher and Python."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from pathlib import Path as FilePath

from tidegate.config.document import SUFFIXES, Cache, read_document
from tidegate.config.gateway import Gateway
from tidegate.config.interpolate import Interpolation
from tidegate.config.loaded import Loaded
from tidegate.config.problem import Problem
from tidegate.config.resolve import Resolution
from tidegate.errors import ConfigError
from tidegate.plan import Scope

LARGEST_DOCUMENT = 64 << 20
TEST_MARK = ".test"
"""How the name of a file of tests ends before its suffix; it is no part of a document in the same folder."""


def load(path: str | FilePath, environment: Mapping[str, str] | None = None) -> Loaded:
    """Loads a file or a folder; raises `ConfigError` with every problem of the document.

    What only the engine or an import can tell (a regular expression, a key, a handler) is told by `check`, and at the
    start. `environment` is where `${env:NAME}` looks, the process's own unless given.
    """
    return Loader().load(path, environment)


def check(path: str | FilePath, environment: Mapping[str, str] | None = None) -> Loaded:
    """Loads a file or a folder, has the engine compile it, imports its handlers, and serves nothing.

    Raises `ConfigError` with all that is wrong. `load` tells only what can be seen in the document itself.
    """
    from tidegate.config.verify import verified
    from tidegate.extend.handlers import find_modules_in

    find_modules_in(FilePath(path))
    return verified(lambda: load(path, environment))


def load_gateway(gateway: Gateway, base: FilePath) -> Loaded:
    """Resolves a gateway made in Python; relative file names start at `base`."""
    resolution = Resolution()
    resolution.add_gateway(gateway, base)
    return resolution.finish()


class Loader:
    """Loads again and again, and does only the work that a change has made necessary.

    What it returns never depends on what it has loaded before. Not for use by two threads at once. The garbage
    collector rests
    during a load, which makes no cycles but very many objects: with it, 10,000 routes take twice as long.
    """

    def __init__(self) -> None:
        self._cache = Cache()
        self._scopes: dict[str, Scope] = {}

    def load(
        self,
        path: str | FilePath,
        environment: Mapping[str, str] | None = None,
        documents: Mapping[FilePath, str] | None = None,
    ) -> Loaded:
        """Loads a file or a folder; raises `ConfigError` with every problem.

        With `documents`, of an earlier load, only the files that the document names are read again.
        """
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._load(FilePath(path), os.environ if environment is None else environment, documents)
        finally:
            if collecting:
                gc.enable()

    def _load(self, path: FilePath, environment: Mapping[str, str], documents: Mapping[FilePath, str] | None) -> Loaded:
        resolution = Resolution(self._scopes)
        files, problem = _discover(path) if documents is None else (list(documents), None)
        if problem is not None:
            raise ConfigError([problem], [path])
        if files != [path]:
            resolution.watched.append(path)
        for file in files:
            resolution.seen(file)
            shown = str(file)
            text, problem = read_text(file, shown) if documents is None else (documents[file], None)
            if problem is not None:
                resolution.problems.append(problem)
                continue
            resolution.documents[file] = text
            filling = Interpolation(environment, file.parent, resolution.seen)
            resolution.add(read_document(file, shown, text, filling, self._cache), filling)
        self._cache.turn()
        try:
            return resolution.finish()
        finally:
            self._scopes = resolution.scopes


def is_document(name: str) -> bool:
    """Whether a file of a folder is a part of the document there, by its name."""
    stem, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix.lower()}" in SUFFIXES and not name.startswith(".") and not stem.endswith(TEST_MARK)


def _discover(path: FilePath) -> tuple[list[FilePath], Problem | None]:
    """The files of a document."""
    try:
        if not path.is_dir():
            return [path], None
        files = sorted(file for file in path.iterdir() if is_document(file.name))
    except (OSError, ValueError) as error:
        return [], Problem("config.file_unreadable", f"cannot read `{path}`: {_reason(error)}")
    if not files:
        known = ", ".join(f"`*{suffix}`" for suffix in SUFFIXES)
        return [], Problem("config.file_unreadable", f"the folder `{path}` has no {known}")
    return files, None


def read_text(file: FilePath, shown: str) -> tuple[str, Problem | None]:
    """The text of a document, or why there is none."""
    if file.suffix == ".py":
        hint = f"run it, `python {shown}`, or write the document with `gateway.to_yaml()`"
        return "", Problem("config.file_unreadable", "this is Python, not a document", file=shown, hint=hint)
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_DOCUMENT + 1)
    except (OSError, ValueError) as error:
        return "", Problem("config.file_unreadable", f"cannot read the file: {_reason(error)}", file=shown)
    if len(content) > LARGEST_DOCUMENT:
        return "", Problem("config.file_unreadable", "the file is larger than 64 MiB", file=shown)
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return "", Problem("config.syntax", "the file is not UTF-8 text", file=shown, line=line)


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return (reason or "its name is not possible").lower()
