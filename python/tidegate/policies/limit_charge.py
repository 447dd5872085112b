"""What a request is charged, and which answers count: for `rate_limit` and `quota` alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path, quote
from tidegate.config.values import Truth

LARGEST_COST = 1_000_000
_WORDS = {"all": [(100, 599)], "success": [(100, 399)], "errors": [(400, 599)]}
_RANGE = re.compile(r"([1-5]\d\d) ?- ?([1-5]\d\d)|([1-5])xx")


def _statuses(value: object) -> object:
    """Lets one status stand for a list of one, and tells what is no status."""
    values = [value] if isinstance(value, int | str) else value
    if not isinstance(values, list) or not values:
        raise problem("bad_value", f"expected statuses such as `[200-299, 404]`, got {quote(value)}")
    for entry in values:
        text = str(entry)
        match = _RANGE.fullmatch(text)
        if not match and not re.fullmatch(r"[1-5]\d\d", text):
            raise problem("bad_value", f"expected a status such as `404`, `200-299` or `2xx`, got {quote(entry)}")
        if match and match[1] and int(match[1]) > int(match[2]):
            raise problem("bad_value", f"{quote(entry)} is no range: it ends before it begins")
    return values


if TYPE_CHECKING:
    Statuses: TypeAlias = list[int | str] | int | str
else:
    _STATUS = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    Statuses = Annotated[
        list[int | str],
        BeforeValidator(_statuses),
        WithJsonSchema({"anyOf": [*_STATUS["anyOf"], {"type": "array", "items": _STATUS}], "title": "statuses"}),
    ]


def _cost(value: object) -> object:
    """A number, or text with a reference to one."""
    if isinstance(value, Interpolated) and value.isdecimal():
        value = int(value[:20])
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise problem("wrong_type", f"expected a whole number or a reference to one, got {quote(value)}")
    if isinstance(value, int) and not 1 <= value <= LARGEST_COST:
        raise problem("bad_value", f"a cost must be at least 1 and at most {LARGEST_COST}")
    if isinstance(value, str) and "{" not in value:
        hint = f"write `{value}`, without quotes" if value.isdecimal() else "write `{header.x-cost}`, for example"
        raise problem("bad_value", f"expected a whole number or a reference to one, got {quote(value)}", hint)
    return value


class Count(Model):
    """Which answers are charged."""

    status: Statuses = Field(description="Statuses that are charged, such as `[200-299, 404]` or `2xx`.")


if TYPE_CHECKING:
    Cost: TypeAlias = int | str
    Counted: TypeAlias = Literal["all", "success", "errors"] | Count
    CountedOrRefused: TypeAlias = Literal["all", "success", "errors", "refused_credentials"] | Count
else:
    Cost = Annotated[
        int | str,
        BeforeValidator(_cost),
        WithJsonSchema(
            {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"\{"}], "title": "number or text"}
        ),
    ]
    _ONE_OF = Discriminator(lambda value: "[count]" if isinstance(value, dict | Count) else "[word]")
    Counted = Annotated[
        Annotated[Literal["all", "success", "errors"], Tag("[word]")] | Annotated[Count, Tag("[count]")], _ONE_OF
    ]
    CountedOrRefused = Annotated[
        Annotated[Literal["all", "success", "errors", "refused_credentials"], Tag("[word]")]
        | Annotated[Count, Tag("[count]")],
        _ONE_OF,
    ]


class LimitCharge(Model):
    """What a request is charged, and which answers count."""

    cost: Cost = Field(
        1, description="What a request is charged: a number, or a reference to one. What is no number counts 1."
    )
    refund_failures: Truth = Field(
        False, description="Give back what was charged when the service failed or could not be reached (5xx)."
    )
    mode: Literal["enforce", "shadow"] = Field(
        "enforce", description="`shadow` counts and logs what it would refuse, and refuses nothing."
    )

    def plan_charge(self, check: Check, path: Path) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        return {
            "cost": self._cost(check, (*path, "cost")),
            "refund_failures": self.refund_failures,
            "shadow": self.mode == "shadow",
        }

    def _cost(self, check: Check, path: Path) -> dict[str, Any]:
        return {"fixed": self.cost} if isinstance(self.cost, int) else {"template": check.template(self.cost, path)}


def plan_statuses(count: Counted) -> list[list[int]]:
    """The statuses that are charged, from and to; none: all."""
    if isinstance(count, str):
        return [] if count == "all" else [list(pair) for pair in _WORDS[count]]
    assert isinstance(count.status, list), "validation leaves lists"
    return [_range(str(entry)) for entry in count.status]


def _range(text: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        return [int(text), int(text)]
    if match[3]:
        return [int(match[3]) * 100, int(match[3]) * 100 + 99]
    return [int(match[1]), int(match[2])]
