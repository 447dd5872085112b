"""Functions of the user's that the document names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tidegate.actions.handler import handler_name
from tidegate.config.base import problem
from tidegate.config.problem import quote


def _function(value: object) -> object:
    if isinstance(value, str) or callable(value):
        return value
    raise problem("wrong_type", f"expected `module:function`, got {quote(value)}")


Callback = Annotated[
    Any,
    BeforeValidator(_function),
    PlainSerializer(handler_name, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[\w.]+:[\w.]+$", "title": "module:function"}),
]
"""`module:function`, or the function itself."""
