"""A route answered by an ASGI application."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tidegate.actions.handler import Target, colon_hint, numbered, register
from tidegate.config.base import problem
from tidegate.config.problem import Path, quote

if TYPE_CHECKING:
    from tidegate.config.check import Check

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")


class AppTarget(Target):
    """An application that a document names: `module:name`, `module:factory()`, or the object itself.

    Beside a handler of the same text it is another thing: one is called with a request, the other with a scope.
    """

    __slots__ = ()

    def __init__(self, target: Any) -> None:
        super().__init__(app_name(target), target)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AppTarget):
            return NotImplemented
        if isinstance(self.target, str) or isinstance(other.target, str):
            return bool(self.target == other.target)
        return self.target is other.target

    def __hash__(self) -> int:
        return hash(("app", self.target if isinstance(self.target, str) else id(self.target)))


def app_name(target: Any) -> str:
    """`module:name` of a reference or of an application; in angle brackets what no module can be asked for."""
    if isinstance(target, str):
        return target
    name = getattr(target, "__qualname__", None)
    if name is not None:
        return f"{target.__module__}:{name}"
    for module, held in list(sys.modules.items()):
        for name, value in list(getattr(held, "__dict__", {}).items()):
            if value is target:
                return f"{module}:{name}"
    return f"<{type(target).__module__}:{type(target).__qualname__}>"


def plan_app(target: Any, strip_path: bool, check: Check, path: Path) -> dict[str, Any]:
    """The application as the engine takes it; it has a number of its own until the plan is put together."""
    app = AppTarget(target)
    if isinstance(target, str) and not _REFERENCE.fullmatch(target):
        message = f"expected `module:name` or `module:factory()`, got {quote(target)}"
        check.problem(path, "bad_app", message, colon_hint(target))
    register(app)
    check.handlers.append((app, path, None))
    return {"app": {"handler": {"id": numbered(app), "name": app.name}, "strip_path": strip_path}}


def _app(value: object) -> object:
    if isinstance(value, str) or callable(value):
        return value
    raise problem("wrong_type", f"expected `module:name` of an ASGI application, got {quote(value)}")


AppReference: TypeAlias = Annotated[
    Any,
    BeforeValidator(_app),
    PlainSerializer(app_name, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[\w.]+:[\w.]+(\(\))?$", "title": "module:name"}),
]
"""`module:name`, `module:factory()`, or the application itself."""
