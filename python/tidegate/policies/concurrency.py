"""Limits how many requests of a key are under way at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.rates import UNLIMITED
from tidegate.config.values import Duration, Integer, number
from tidegate.policies.limit_key import LimitKey
from tidegate.policies.limit_stage import Stage, check_early, early_names
from tidegate.policies.policy import Policy
from tidegate.policies.shared import SharedLimit

MOST = 1_000_000


def _most(value: object) -> object:
    """A number, or the word `unlimited`."""
    value = number(value)
    if value == UNLIMITED or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST):
        return value
    raise problem("bad_value", f"expected a number of 1 to {MOST}, or `unlimited`, got {quote(value)}")


if TYPE_CHECKING:
    Most: TypeAlias = int | Literal["unlimited"]
else:
    Most = Annotated[
        int | str,
        BeforeValidator(_most),
        WithJsonSchema({"anyOf": [{"type": "integer"}, {"const": UNLIMITED}], "title": "number or `unlimited`"}),
    ]


class Concurrency(Policy, LimitKey, SharedLimit):
    """Limits how many requests of a key are under way at once."""

    stage: Stage = Field(
        "after_authentication",
        description="When it acts. `before_authentication`: nobody has looked at the credentials, so `key` names what "
        "a request itself shows, by default the client's address.",
    )
    limit: Integer | None = Field(None, ge=1, le=MOST, description="How many requests may be under way.")
    tiers: dict[str, Most] = Field(
        default_factory=dict,
        description="Other limits by tier: a number or `unlimited`. Who has none of these tiers gets `limit`.",
    )
    queue: Integer = Field(
        0, ge=0, le=1000, description="How many more may wait for their turn, in the order in which they came."
    )
    queue_timeout: Duration = Field(1000, description="The longest that a request waits before it is refused.")
    mode: Literal["enforce", "shadow"] = Field(
        "enforce", description="`shadow` counts and logs what it would refuse, and refuses nothing."
    )

    @classmethod
    def names(cls, name: str) -> tuple[str, ...]:
        """One for each stage."""
        return early_names(name)

    def parts(self, name: str, check: Check, path: Path) -> dict[str, dict[str, Any]]:
        """The options as the engine takes them, under the name of the stage."""
        planned = self.plan(check, path)
        early, known = early_names(name)
        if self.stage == "after_authentication":
            return {known: planned}
        check_early(planned, self.model_fields_set, check, path)
        return {early: planned}

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.limit is None:
            check.problem((*path, "limit"), "missing", "`limit` is missing", "write `limit: 10`, for example")
        if "queue_timeout" in self.model_fields_set and not self.queue:
            text = "nobody waits without a `queue`, so `queue_timeout` is without effect"
            check.problem((*path, "queue_timeout"), "bad_value", text, "write `queue: 10`, for example")
        return {
            **self.plan_key(check, path),
            "most": self.limit,
            "tiers": [{"tier": tier, "most": None if most == UNLIMITED else most} for tier, most in self.tiers.items()],
            "queue": self.queue,
            "queue_timeout_ms": self.queue_timeout,
            "shadow": self.mode == "shadow",
            **self.plan_shared(),
        }
