"""The functions that routes name, each with a number that is its own for as long as the process lives."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.actions.app import AppTarget
from tidegate.config import HandlerReference, Problem
from tidegate.config.problem import did_you_mean
from tidegate.errors import ConfigError
from tidegate.extend.kind import Kind, kind_of
from tidegate.extend.typed import BadSignature, Typed, typed
from tidegate.extend.websocket import takes_websocket


def find_modules_in(path: Path) -> None:
    """Lets `handler: module:function` find modules that lie beside the document."""
    folder = str(path.absolute() if path.is_dir() else path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how it is called."""

    number: int
    name: str
    function: Callable[..., Any]
    kind: Kind
    is_app: bool = False


class Handlers:
    """Every handler that was ever loaded; a reload finds those it knows under the numbers they have."""

    def __init__(self, on_blocking: Callable[[int], None]) -> None:
        """`on_blocking` is told the number of each plain function."""
        self._on_blocking = on_blocking
        self._by_function: dict[Any, Handler] = {}
        self._apps: dict[int, Handler] = {}
        """By the identity of the application, which the handler keeps alive."""
        self._made: dict[Any, Any] = {}
        """What factories made, by these: a reload takes no other application."""
        self.list: list[Handler] = []

    def numbers(self, references: Iterable[HandlerReference]) -> list[int]:
        """The number of each reference, in order; raises `ConfigError` with every one that cannot be found."""
        problems: list[Problem] = []
        found: list[tuple[HandlerReference, Any, Typed | None]] = []
        for reference in references:
            function = _find(reference, problems)
            if function is not None and is_factory(reference):
                function = self._make(reference, function, problems)
            if function is not None:
                found.append((reference, function, _typed(reference, function, problems)))
        if problems:
            raise ConfigError(problems)
        return [self._number(*handler) for handler in found]

    def _make(self, reference: HandlerReference, factory: Callable[[], Any], problems: list[Problem]) -> Any:
        """What a factory makes, once."""
        if factory not in self._made:
            try:
                self._made[factory] = factory()
            except (Exception, SystemExit) as error:
                problems += _problems(reference, f"`{reference.name}` failed: {type(error).__name__}: {error}")
                return None
        app = self._made[factory]
        if not callable(app):
            problems += _problems(reference, f"`{reference.name}` made no application, but {type(app).__name__}")
            return None
        return app

    def _number(self, reference: HandlerReference, function: Any, takes: Typed | None) -> int:
        name = reference.name
        if isinstance(reference.target, AppTarget):
            return self._app_number(name, function)
        known = self._by_function.get(function)
        if known is None:
            kind = Kind.WEBSOCKET if takes_websocket(function) else kind_of(function)
            known = Handler(len(self.list), name, function if takes is None else takes.around(function, kind), kind)
            self.list.append(known)
            self._by_function[function] = known
            if known.kind is Kind.BLOCKING:
                self._on_blocking(known.number)
        return known.number

    def _app_number(self, name: str, application: Any) -> int:
        known = self._apps.get(id(application))
        if known is None:
            known = Handler(len(self.list), name, application, Kind.APP, is_app=True)
            self.list.append(known)
            self._apps[id(application)] = known
        return known.number


def check(references: Iterable[HandlerReference]) -> list[Problem]:
    """What is wrong with the references; serves nothing."""
    problems: list[Problem] = []
    for reference in references:
        if (function := _find(reference, problems)) is not None:
            _typed(reference, function, problems)
    return problems


def _typed(reference: HandlerReference, function: Callable[..., Any], problems: list[Problem]) -> Typed | None:
    """What the function takes beside its request, if anything; functions that are told of events are not asked."""
    captures = [captured for captured in reference.captures if captured is not None]
    if not captures or takes_websocket(function):
        return None
    try:
        takes = typed(function)
    except BadSignature as error:
        for message, hint in error.problems:
            problems += _problems(reference, f"`{reference.name}`: {message}", hint, "bad_handler")
        return None
    if takes is not None:
        for place, captured in zip(reference.places, reference.captures, strict=True):
            for message, hint in takes.problems(captured or frozenset()):
                problems.append(Problem("config.bad_handler", f"`{reference.name}`: {message}", *place, hint))
    return takes


def _find(reference: HandlerReference, problems: list[Problem]) -> Callable[..., Any] | None:
    target = reference.target.target if isinstance(reference.target, AppTarget) else reference.target
    if not isinstance(target, str):
        return target  # type: ignore[return-value]
    module, _, name = target.removesuffix("()").partition(":")
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
        return found if _takes_its_arguments(reference, found, problems) else None
    what = "no" if found is None else "not a function:"
    problems += _problems(reference, f"module `{module}` has {what} `{name}`", hint)
    return None


def is_factory(reference: HandlerReference) -> bool:
    """Whether the reference is to a function that makes an application."""
    target = reference.target.target if isinstance(reference.target, AppTarget) else None
    return isinstance(target, str) and target.endswith("()")


def _takes_its_arguments(reference: HandlerReference, found: Any, problems: list[Problem]) -> bool:
    """Notes functions that are named as applications and are none."""
    if not isinstance(reference.target, AppTarget) or not inspect.isfunction(found):
        return True
    factory = is_factory(reference)
    try:
        inspect.signature(found).bind(*() if factory else ("scope", "receive", "send"))
    except TypeError:
        if factory:
            problems += _problems(reference, f"`{reference.name}` needs arguments, and is called without any")
        else:
            message = f"`{reference.name}` is no ASGI 3 application: it does not take scope, receive and send"
            hint = f"for a function that makes an application write `{reference.name}()`"
            problems += _problems(reference, message, hint)
        return False
    return True


def _problems(
    reference: HandlerReference, message: str, hint: str | None = None, code: str = "unknown_handler"
) -> list[Problem]:
    places = reference.places or (("", None, None),)
    return [Problem(f"config.{code}", message, path, file, line, hint) for path, file, line in places]
