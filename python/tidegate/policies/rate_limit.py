"""Limits how many requests share one budget in a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from tidegate.config import rates
from tidegate.config.base import Model, problem
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path, quote
from tidegate.config.rates import UNLIMITED, RateOrUnlimited
from tidegate.config.values import Truth
from tidegate.policies.budget import Algorithm, Budget
from tidegate.policies.limit_key import LimitKey
from tidegate.policies.policy import Policy

MOST_LIMITS = 16
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
    TierBudget: TypeAlias = int | str | Budget
    Counted: TypeAlias = Literal["all", "success", "errors"] | Count
else:
    Cost = Annotated[
        int | str,
        BeforeValidator(_cost),
        WithJsonSchema(
            {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"\{"}], "title": "number or text"}
        ),
    ]
    TierBudget = Annotated[
        Annotated[RateOrUnlimited, Tag("[rate]")] | Annotated[Budget, Tag("[budget]")],
        Discriminator(lambda value: "[budget]" if isinstance(value, dict | Budget) else "[rate]"),
    ]
    Counted = Annotated[
        Annotated[Literal["all", "success", "errors"], Tag("[word]")] | Annotated[Count, Tag("[count]")],
        Discriminator(lambda value: "[count]" if isinstance(value, dict | Count) else "[word]"),
    ]


class Limit(LimitKey, Budget):
    """One limit."""

    algorithm: Algorithm | None = Field(
        None,
        description="How it counts. Unless set: `token_bucket` where `rate` or `burst` is set, else `sliding_window`.",
    )
    cost: Cost = Field(
        1, description="What a request is charged: a number, or a reference to one. What is no number counts 1."
    )
    tiers: dict[str, TierBudget] = Field(
        default_factory=dict,
        description="Other budgets by tier: a rate, a mapping of its parts, or `unlimited`. Who has none of these "
        "tiers gets the limit's own.",
    )
    count: Counted = Field(
        "all",
        description="Which answers are charged: `success` is below 400, `errors` the others, or `{status: [...]}`. All "
        "are charged when they come; what does not count is given back with the answer.",
    )
    refund_failures: Truth = Field(
        False, description="Give back what was charged when the service failed or could not be reached (5xx)."
    )
    mode: Literal["enforce", "shadow"] = Field(
        "enforce", description="`shadow` counts and logs what it would refuse, and refuses nothing."
    )

    def plan_limit(self, check: Check, path: Path) -> dict[str, Any] | None:
        """The limit as the engine takes it."""
        bucket = self.rate is not None or self.burst is not None
        algorithm: Algorithm = self.algorithm or ("token_bucket" if bucket else "sliding_window")
        budget = self.plan_budget(algorithm, check, path)
        return {
            **self.plan_key(check, path),
            "algorithm": algorithm,
            "budget": budget,
            "tiers": [
                {"tier": tier, "budget": self._tier(own, algorithm, check, (*path, "tiers", tier))}
                for tier, own in self.tiers.items()
            ],
            "cost": self._cost(check, (*path, "cost")),
            "count": self._count(),
            "refund_failures": self.refund_failures,
            "shadow": self.mode == "shadow",
        }

    def _tier(self, own: int | str | Budget, algorithm: Algorithm, check: Check, path: Path) -> dict[str, Any] | None:
        if own == UNLIMITED:
            return None
        if not isinstance(own, Budget):
            own = Budget.model_construct(limit=own, window=self._own_window() if isinstance(own, int) else None)
        return own.plan_budget(algorithm, check, path)

    def _own_window(self) -> int | None:
        """The time that a bare number of a tier is meant in: the limit's own."""
        written = self.limit if self.limit is not None else self.rate
        window = None if written is None else rates.parts(written)[1]
        if window is None and self.window is not None:
            return int(self.window)
        return 1000 if window is None and self.rate is not None else window

    def _cost(self, check: Check, path: Path) -> dict[str, Any]:
        return {"fixed": self.cost} if isinstance(self.cost, int) else {"template": check.template(self.cost, path)}

    def _count(self) -> list[list[int]]:
        if isinstance(self.count, str):
            return [] if self.count == "all" else [list(pair) for pair in _WORDS[self.count]]
        assert isinstance(self.count.status, list), "validation leaves lists"
        return [_range(str(entry)) for entry in self.count.status]


def _range(text: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        return [int(text), int(text)]
    if match[3]:
        return [int(match[3]) * 100, int(match[3]) * 100 + 99]
    return [int(match[1]), int(match[2])]


class RateLimit(Policy, Limit):
    """Limits how many requests share one budget in a time. One limit stands here itself; several stand in `limits`."""

    limits: list[Limit] = Field(
        default_factory=list,
        description="Several limits: a request passes when all allow it, and only then is it charged to any. What is "
        "set beside `limits` holds for those that do not set it.",
    )
    headers: Truth = Field(True, description="Set `RateLimit` and `RateLimit-Policy` on every answer.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if not self.limits:
            return {"limits": [self.plan_limit(check, path)], "headers": self.headers}
        own = {"limit", "requests", "window", "rate", "burst", "max_delay", "name"} & self.model_fields_set
        for name in sorted(own):
            check.problem((*path, name), "bad_value", f"`{name}` stands in each of `limits`, not beside them")
        if len(self.limits) > MOST_LIMITS:
            check.problem((*path, "limits"), "bad_value", f"there may be at most {MOST_LIMITS} limits")
        shared = {name: getattr(self, name) for name in self.model_fields_set - {"limits", "headers", *own}}
        limits = []
        for index, limit in enumerate(self.limits):
            inherited = {name: value for name, value in shared.items() if name not in limit.model_fields_set}
            limits.append(limit.model_copy(update=inherited).plan_limit(check, (*path, "limits", index)))
        names = [limit.name for limit in self.limits]
        for index, name in enumerate(names):
            if name in names[:index]:
                hint = "give each of them a `name`"
                check.problem((*path, "limits", index), "duplicate_name", f"there is a limit `{name}` already", hint)
        return {"limits": limits, "headers": self.headers}
