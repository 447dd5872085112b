"""Documents that are included: each has routes and services of its own, and may be broken for itself."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from tidegate.config.base import Model
from tidegate.config.problem import Problem
from tidegate.config.values import Text

OnError = Literal["keep_last", "skip", "refuse"]

ALLOWED = ("services", "routes", "consumers", "policies")
"""The keys of a document that is included; all else is the gateway's."""


class Include(Model):
    """Documents that belong to this one, each with routes, services, consumers and policies of its own."""

    glob: Text = Field(
        description="Their names, relative to this document: `bffs/*.yaml`, `bffs/*/gateway.yaml`; `**` is any folders."
    )
    on_error: OnError = Field(
        "keep_last",
        description="What a document with problems does to the others. `keep_last`: nothing, it serves as it was last "
        "good, and its routes are left out at a start. `skip`: its routes are left out. `refuse`: nothing is taken.",
    )


def _spelled_out(value: object) -> object:
    """A name alone is short for a mapping, and one for a list of one."""
    values = value if isinstance(value, list) else [value]
    return [{"glob": one} if isinstance(one, str) else one for one in values]


IncludeOption = Annotated[
    list[Include],
    BeforeValidator(_spelled_out, json_schema_input_type=Include | str | list[Include | str]),
]

_ADAPTER: TypeAdapter[list[Include]] = TypeAdapter(IncludeOption)


def understood(value: Any) -> list[Include]:
    """What `include` says, as far as it is well formed; what is wrong with it is told with the rest."""
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError:
        return []


@dataclass(frozen=True, slots=True)
class Included:
    """A document that another one includes."""

    file: FilePath
    on_error: OnError


def find(includes: Iterable[Include], folder: FilePath, but: Iterable[FilePath]) -> list[Included]:
    """The documents that are meant, in the order of their names; each once, as the first that means it says."""
    from tidegate.config.load import is_document

    own = {file.absolute() for file in but}
    found: dict[FilePath, Included] = {}
    for include in includes:
        for name in sorted(glob.glob(str(folder / include.glob), recursive=True)):
            file = FilePath(name)
            if is_document(file.name) and file.is_file() and file.absolute() not in own:
                found.setdefault(file, Included(file, include.on_error))
    return list(found.values())


def folders(includes: Iterable[Include], folder: FilePath) -> list[FilePath]:
    """The folders in which a new file, or a new folder, can be meant."""
    found: dict[FilePath, None] = {}
    for include in includes:
        parts = FilePath(include.glob).parts[:-1]
        plain = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        found[folder.joinpath(*parts[:plain])] = None
        for count in range(plain + 1, len(parts) + 1):
            named = sorted(glob.glob(os.path.join(folder, *parts[:count]), recursive=True))
            found |= {FilePath(name): None for name in named if os.path.isdir(name)}
    return list(found)


@dataclass(frozen=True, slots=True)
class Broken:
    """A document that is included and has problems."""

    file: str
    state: Literal["kept", "left_out"]
    """Whether its last good version serves, or nothing of it."""
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """As a program reads it."""
        return {"file": self.file, "state": self.state, "problems": [str(problem) for problem in self.problems]}


Instead = Mapping[FilePath, str | None]
"""Texts in the place of those of the files; `None`: as if the file were not there."""
