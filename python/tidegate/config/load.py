"""Loads a document: files in, plan or problems out. The one way in, for the command line, the watcher and Python."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path as FilePath

from tidegate.config.document import SUFFIXES, Cache, read_document
from tidegate.config.gateway import Gateway
from tidegate.config.include import Included, Instead, find, folders
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
    return Loader().load_gateway(gateway, base)


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
        again: Loaded | None = None,
        instead: Instead | None = None,
    ) -> Loaded:
        """Loads a file or a folder; raises `ConfigError` with every problem.

        Of a document that was loaded before, `again`, only the files that it names are read anew. `instead`: texts of
        documents that are included, in the place of those of the files.
        """
        with _collector_rests():
            return self._load(FilePath(path), os.environ if environment is None else environment, again, instead or {})

    def load_gateway(self, gateway: Gateway, base: FilePath, instead: Instead | None = None) -> Loaded:
        """Loads a gateway made in Python, and the documents that it includes."""
        resolution = Resolution(self._scopes)
        resolution.add_gateway(gateway, base)
        return self._finished(resolution, os.environ, None, instead or {})

    def _load(self, path: FilePath, environment: Mapping[str, str], again: Loaded | None, instead: Instead) -> Loaded:
        resolution = Resolution(self._scopes)
        own, problem = _discover(path) if again is None else (_own(again), None)
        if problem is not None:
            raise ConfigError([problem], [path])
        if own != [path]:
            resolution.watched.append(path)
        for file in own:
            self._take(resolution, file, environment, None if again is None else again.documents[file])
        return self._finished(resolution, environment, again, instead)

    def _finished(
        self, resolution: Resolution, environment: Mapping[str, str], again: Loaded | None, instead: Instead
    ) -> Loaded:
        """Adds what is included, and puts all together."""
        if includes := resolution.includes():
            folder = resolution.folders.get("include", resolution.folder)
            resolution.watched += folders(includes, folder)
            for included in find(includes, folder, resolution.documents):
                self._include(resolution, included, environment, again, instead)
        self._cache.turn()
        try:
            return resolution.finish()
        finally:
            self._scopes = resolution.scopes

    def _include(
        self,
        resolution: Resolution,
        included: Included,
        environment: Mapping[str, str],
        again: Loaded | None,
        instead: Instead,
    ) -> None:
        file = included.file
        if again is not None and file not in again.documents:
            return  # a new one waits until documents are read
        resolution.included[file] = included
        text = None if again is None else again.documents[file]
        if file in instead:
            text = instead[file]
            if text is None:
                resolution.seen(file)
                return
        self._take(resolution, file, environment, text, apart=file)

    def _take(
        self,
        resolution: Resolution,
        file: FilePath,
        environment: Mapping[str, str],
        known: str | None,
        apart: FilePath | None = None,
    ) -> None:
        """Takes one file; `known` is its text, where it need not be read."""
        resolution.seen(file)
        shown = str(file)
        text, problem = read_text(file, shown) if known is None else (known, None)
        if problem is not None:
            resolution.problems.append(problem)
            return
        resolution.documents[file] = text
        filling = Interpolation(environment, file.parent, resolution.seen)
        resolution.add(read_document(file, shown, text, filling, self._cache), filling, apart)


def _own(loaded: Loaded) -> list[FilePath]:
    """The files of a document without those that are included."""
    apart = {included.file for included in loaded.included}
    return [file for file in loaded.documents if file not in apart]


@contextmanager
def _collector_rests() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


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
