"""The options that `request_headers` and `response_headers` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Text, Texts, one_or_many
from tidegate.policies.policy import Policy

if TYPE_CHECKING:
    Values: TypeAlias = list[str] | str
else:
    Values = Annotated[
        list[Text],
        BeforeValidator(one_or_many),
        PlainSerializer(lambda values: values[0] if len(values) == 1 else values, when_used="json"),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "title": "text"}
        ),
    ]


class HeaderEdits(Policy):
    """Edits headers: `remove` first, then `set`, then `add`."""

    remove: Texts = Field(default_factory=list, description="Names of headers to take away.")
    set: dict[str, Values] = Field(
        default_factory=dict,
        description="Headers to put in place of any of the same name. A value may use references; a list gives "
        "several.",
    )
    add: dict[str, Values] = Field(
        default_factory=dict, description="Headers to put beside those of the same name. Values as for `set`."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        first, more = _values(self.set, check, (*path, "set"))
        one, others = _values(self.add, check, (*path, "add"))
        return {
            "remove": [check.header(name, (*path, "remove", index)) for index, name in enumerate(self.remove)],
            "set": first,
            "add": [*more, *one, *others],
        }


def _values(edits: dict[str, Values], check: Check, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The first value of each header, and all others, which go beside it."""
    first: list[dict[str, Any]] = []
    more: list[dict[str, Any]] = []
    for name, values in edits.items():
        lower = check.header(name, (*path, name))
        for index, value in enumerate(values):
            edit = {"name": lower, "value": check.template(value, (*path, name), header=True)}
            (more if index else first).append(edit)
    return first, more
