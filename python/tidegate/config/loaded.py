"""What becomes of a document: a plan with its places, and all that the process needs beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from tidegate.actions.handler import Target
from tidegate.config.implied import KeptKeys
from tidegate.config.include import Broken, Included
from tidegate.config.problem import Path, Problem
from tidegate.config.store import StoreSettings
from tidegate.config.targets_file import TargetsFile
from tidegate.store.url import StoreUrl

_PLAN_PATH = re.compile(r"\[(\d+)\]|([^.\[\]]+)")

Place = Callable[[Path], tuple[str, str | None, int | None]]
"""A path in the plan, with the names the document has below an entry, to path in the document, file and line."""

_ACTION_PARTS: dict[str | int, Path] = {
    "rewrite": ("rewrite",),
    "location": ("redirect", "location"),
    "body": ("respond", "body"),
    "headers": ("respond", "headers"),
}


@dataclass(frozen=True, slots=True)
class HandlerReference:
    """A Python function that routes use; its place in the list is its number in the plan."""

    name: str
    target: str | Callable[..., Any] | Target
    """`module:function`, or the function itself where the gateway was made in Python."""
    places: tuple[tuple[str, str | None, int | None], ...] = ()
    """Path, file and line of each use."""
    captures: tuple[frozenset[str] | None, ...] = ()
    """Of each use: what every path of the route captures; `None` where it is not a route that it answers for."""


@dataclass(frozen=True)
class Planned:
    """A plan, and where its parts stand in the document.

    By itself it is for the engine to look through, such as what is sound of a document with problems. Only a `Loaded`
    is ever served.
    """

    plan: bytes = field(repr=False)
    """What the engine takes."""
    handlers: tuple[HandlerReference, ...]
    place: Place = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    """What came from the environment or from files, and the reference that stands for it."""

    def problem(self, plan_path: str, code: str, message: str, hint: str | None = None) -> Problem:
        """A problem the engine found, with its place in the document. `plan_path` is such as `routes[3].paths[0]`."""
        parts: Path = tuple(int(index) if index else name for index, name in _PLAN_PATH.findall(plan_path))
        path, file, line = self.place(self._written_path(parts))
        return Problem(code, message, path, file, line, hint).without(self.secrets)

    def _written_path(self, parts: Path) -> Path:
        """The path as the document has it: it names policies and has no `action`."""
        head, rest = parts[:2], parts[2:]
        if rest[:2] == ("action", "compose"):
            return (*head, "compose", *self._composed_path(head, rest[2:]))
        if rest[:1] == ("action",):
            return head + _ACTION_PARTS.get(rest[1] if len(rest) > 1 else "", ())
        if rest[:1] == ("policies",) and len(rest) > 1:
            name, *_ = json.loads(self.plan)[head[0]][head[1]]["policies"][rest[1]]
            # The part of a limit that acts before authentication has a name of its own in the plan only.
            return (*head, "policies", name.removeprefix("early_"), *rest[2:3])
        if len(rest) > 1 and rest[0] in ("headers", "query", "cookies"):
            # `headers[0].values[1]`: a mapping by name in the document, its value a text or a list of texts.
            name = json.loads(self.plan)[head[0]][head[1]][rest[0]][rest[1]]["name"]
            return (*head, rest[0], name)
        return parts

    def _composed_path(self, head: Path, rest: Path) -> Path:
        """`calls[1].when`: in the document calls and views stand by their names."""
        if len(rest) < 2 or rest[0] not in ("calls", "views"):
            return rest[:1]
        name = json.loads(self.plan)[head[0]][head[1]]["action"]["compose"][rest[0]][rest[1]]["name"]
        return (rest[0], name, *rest[2:3])

    def problems(self, found: Iterable[tuple[str, str, str]]) -> list[Problem]:
        """The problems that `compile_plan` found: plan path, code and message of each."""
        return sorted((self.problem(*entry) for entry in found), key=Problem.order)


@dataclass(frozen=True)
class Loaded(Planned):
    """A document that loaded."""

    admin: str | None
    """`IP:PORT` or `unix:/path` of the admin listener; `None`: off."""
    workers: int | None
    """Worker threads; `None`: one for each processor."""
    drain_timeout_ms: int
    store: StoreSettings | None
    """The store of consumers and keys, where the document has one."""
    usage_store: StoreUrl
    """Where quotas are carried over restarts: that store, or a file beside the document."""
    files: tuple[FilePath, ...]
    """Every file that was read: the document, and what it names. A watcher watches these."""
    documents: Mapping[FilePath, str] = field(repr=False)
    """The files of the document itself and their text; none where the gateway was made in Python."""
    folders: tuple[FilePath, ...]
    """Folders whose files make up the document; a watcher watches for new ones."""
    written: Callable[[], dict[str, Any]] = field(repr=False)
    """The document as data. It holds secrets; `redacted(loaded.written())` is what may be shown."""
    signing: tuple[KeptKeys, ...] = ()
    """Keys to sign with that the gateway makes itself."""
    target_files: Mapping[str, TargetsFile] = field(default_factory=dict)
    """Files with the targets of services, by service."""
    included: tuple[Included, ...] = ()
    """Documents that the document includes, those that are left out among them."""
    broken: tuple[Broken, ...] = ()
    """Those of them that have problems, where the others serve all the same."""

    @property
    def named(self) -> tuple[FilePath, ...]:
        """The files that the document names: certificates, keys, `${file:...}`."""
        return tuple(file for file in self.files if file not in self.documents)
