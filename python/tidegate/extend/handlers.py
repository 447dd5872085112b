"""The functions that routes name, each with a number that is its own for as long as the process lives."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tidegate.config import HandlerReference, Problem
from tidegate.config.problem import did_you_mean
from tidegate.errors import ConfigError


def find_modules_in(path: Path) -> None:
    """Lets `handler: module:function` find modules that lie beside the document."""
    folder = str(path.absolute() if path.is_dir() else path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


class Kind(Enum):
    """How a function is called."""

    COROUTINE = "coroutine"
    """`async def`: on the app loop."""
    STREAM = "stream"
    """`async def` with `yield`: on the app loop, a piece at a time."""
    BLOCKING = "blocking"
    """`def`: on a thread, as it may block."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how it is called."""

    number: int
    name: str
    function: Callable[..., Any]
    kind: Kind


class Handlers:
    """Every handler that was ever loaded; a reload finds those it knows under the numbers they have."""

    def __init__(self, on_blocking: Callable[[int], None]) -> None:
        """`on_blocking` is told the number of each plain function."""
        self._on_blocking = on_blocking
        self._by_function: dict[Any, Handler] = {}
        self.list: list[Handler] = []

    def numbers(self, references: Iterable[HandlerReference]) -> list[int]:
        """The number of each reference, in order; raises `ConfigError` with every one that cannot be found."""
        problems: list[Problem] = []
        found: list[tuple[str, Callable[..., Any]]] = []
        for reference in references:
            function = _find(reference, problems)
            if function is not None:
                found.append((reference.name, function))
        if problems:
            raise ConfigError(problems)
        return [self._number(name, function) for name, function in found]

    def _number(self, name: str, function: Callable[..., Any]) -> int:
        known = self._by_function.get(function)
        if known is None:
            known = Handler(len(self.list), name, function, kind_of(function))
            self.list.append(known)
            self._by_function[function] = known
            if known.kind is Kind.BLOCKING:
                self._on_blocking(known.number)
        return known.number


def kind_of(function: Callable[..., Any]) -> Kind:
    """How a function is to be called; an object counts by its `__call__`."""
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    if not inspect.isroutine(bare):
        bare = type(bare).__call__
    if inspect.isasyncgenfunction(bare):
        return Kind.STREAM
    return Kind.COROUTINE if inspect.iscoroutinefunction(bare) else Kind.BLOCKING


def check(references: Iterable[HandlerReference]) -> list[Problem]:
    """What is wrong with the references; serves nothing."""
    problems: list[Problem] = []
    for reference in references:
        _find(reference, problems)
    return problems


def _find(reference: HandlerReference, problems: list[Problem]) -> Callable[..., Any] | None:
    if not isinstance(reference.target, str):
        return reference.target
    module, _, name = reference.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            where = "modules are looked for in the document's folder and on PYTHONPATH"
            problems += _problems(reference, f"there is no module `{error.name}`", where)
        else:
            problems += _problems(reference, f"module `{module}` cannot be imported: {error}")
        return None
    except (Exception, SystemExit) as error:  # a module may leave when it is imported; the gateway does not
        reason = f"{type(error).__name__}: {error}"
        problems += _problems(reference, f"module `{module}` cannot be imported: {reason}")
        return None
    hint: str | None = None
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, [known for known in dir(found) if not known.startswith("_")])
            found = None
            break
        found = getattr(found, part)
    if callable(found):
        return found  # type: ignore[no-any-return]
    what = "no" if found is None else "not a function:"
    problems += _problems(reference, f"module `{module}` has {what} `{name}`", hint)
    return None


def _problems(reference: HandlerReference, message: str, hint: str | None = None) -> list[Problem]:
    places = reference.places or (("", None, None),)
    return [Problem("config.unknown_handler", message, path, file, line, hint) for path, file, line in places]
