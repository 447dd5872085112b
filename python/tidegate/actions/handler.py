"""A route answered by a Python function."""

from __future__ import annotations

import re
from typing import Any

from tidegate.config.check import Check
from tidegate.config.problem import Path, quote

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def handler_name(handler: Any) -> str | None:
    """`module:function` of a reference or of a callable."""
    if handler is None or isinstance(handler, str):
        return handler
    module = getattr(handler, "__module__", None) or type(handler).__module__
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    return f"{module}:{name}"


def plan_handler(handler: Any, check: Check, path: Path) -> dict[str, Any]:
    """The action as the engine takes it; the number is given when the plan is put together."""
    name = handler_name(handler) or ""
    if isinstance(handler, str) and not _REFERENCE.fullmatch(handler):
        hint = None
        if ":" not in handler and "." in handler:
            hint = "did you mean `{}:{}`?".format(*handler.rsplit(".", 1))
        check.problem(path, "bad_handler", f"expected `module:function`, got {quote(handler)}", hint)
    return {"handler": {"id": 0, "name": name}}
