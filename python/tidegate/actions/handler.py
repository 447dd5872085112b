"""A route answered by a Python function."""

from __future__ import annotations

import re
from typing import Any

from tidegate.config.check import Check
from tidegate.config.problem import Path, quote

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Target:
    """What a document names that is called by other rules than a handler."""

    __slots__ = ("name", "target")

    def __init__(self, name: str, target: Any) -> None:
        """`target`: the text of the document, or the object itself."""
        self.name = name
        self.target = target


def handler_name(handler: Any) -> str | None:
    """`module:function` of a reference or of a callable."""
    if handler is None or isinstance(handler, str):
        return handler
    if isinstance(handler, Target):
        return handler.name
    module = getattr(handler, "__module__", None) or type(handler).__module__
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    return f"{module}:{name}"


def colon_hint(reference: str) -> str | None:
    """What may be meant by a reference with dots alone."""
    if ":" in reference or "." not in reference:
        return None
    return "did you mean `{}:{}`?".format(*reference.rsplit(".", 1))


_NUMBERS: dict[Any, int] = {}
"""Every function that a document ever named, with a number of its own: equal numbers, the same function."""


def plan_handler(handler: Any, check: Check, path: Path, captures: frozenset[str] | None = None) -> dict[str, Any]:
    """The function as the engine takes it; it has a number of its own until the plan is put together.

    `captures`: what every path of the route captures that it answers for.
    """
    name = handler_name(handler) or ""
    if isinstance(handler, str) and not _REFERENCE.fullmatch(handler):
        message = f"expected `module:function`, got {quote(handler)}"
        check.problem(path, "bad_handler", message, colon_hint(handler))
    register(handler)
    check.handlers.append((handler, path, captures))
    return {"handler": {"id": numbered(handler), "name": name}}


def register(handler: Any) -> None:
    """Gives a function, or an application, a number of its own."""
    _NUMBERS.setdefault(handler, len(_NUMBERS))


def numbered(handler: Any) -> int:
    """The number by which parts of a plan name a function."""
    return _NUMBERS[handler]


def plan_callback(function: Any, check: Check, path: Path) -> dict[str, Any] | None:
    """As `plan_handler`, for a function that is told of something."""
    return None if function is None else plan_handler(function, check, path)
