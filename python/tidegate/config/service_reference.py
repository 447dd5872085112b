"""How a document names a service that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.problem import quote


def _service(value: object) -> object:
    """The name of a service: as text, as a `Service` in Python, or in Kong's form `{name: ...}`."""
    if isinstance(value, str):
        return value
    if isinstance(value, Model) and type(value).__name__ == "Service":
        return value.name  # type: ignore[attr-defined]
    if isinstance(value, dict) and set(value) == {"name"} and isinstance(value["name"], str):
        return value["name"]
    raise problem("wrong_type", f"expected the name of a service, got {quote(value)}")


if TYPE_CHECKING:
    from tidegate.config.services import Service

    ServiceReference: TypeAlias = str | Service
else:
    ServiceReference = Annotated[
        str,
        BeforeValidator(_service),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"name": {"type": "string"}},
                        "required": ["name"],
                        "additionalProperties": False,
                    },
                ],
                "title": "name of a service",
            }
        ),
    ]
