"""What the gateway does when it has too much to do itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Duration, Integer, Size, Text

Priority: TypeAlias = Literal["low", "normal", "high", "critical"]
"""Lower ones are refused first, the last one never."""


def _off(value: object) -> object:
    return None if value is False or value == "off" else value


def _auto(value: object) -> object:
    return None if value == "auto" else value


def _free_is_low() -> dict[str, Priority]:
    return {"free": "low"}


class QueueDelay(Model):
    """When a worker is too late to what is ready (Controlled Delay, RFC 8289)."""

    target: Duration = Field(10, description="The delay that is put up with.")
    interval: Duration = Field(
        100, description="A delay that was above the target for so long, without a break, is no burst any more."
    )


class OverloadMemory(Model):
    """When the memory is too full."""

    limit: Annotated[
        Size | None,
        BeforeValidator(_auto),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?([KMG]i?B|B)$"},
                    {"type": "integer"},
                    {"const": "auto"},
                ],
                "title": "size",
            }
        ),
    ] = Field(
        None,
        description="Memory that this process may have; `auto`, the default, is the limit of its container, or else "
        "the machine's memory.",
    )
    begin: Integer = Field(85, ge=1, le=99, description="Percent of it from which on requests are refused.")
    full: Integer = Field(
        95,
        ge=2,
        le=100,
        description="Percent of it from which on all are refused that can be; between the two, a part.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.full <= self.begin:
            check.problem((*path, "full"), "bad_value", f"must be more than `begin`, which is {self.begin}")
        if self.limit == 0:
            check.problem((*path, "limit"), "bad_value", "must be more than zero")
        return {"limit": self.limit, "from_percent": self.begin, "to_percent": self.full}


class PriorityRule(Model):
    """Gives requests a priority."""

    when: Text = Field(description="A CEL expression, as for [`authorize`](../policies/authorize.md).")
    priority: Priority = Field(description="What it gives: `low`, `normal`, `high` or `critical`.")


class Overload(Model):
    """Refuses requests, the least important ones first, while the gateway cannot keep up. `{}` has the defaults."""

    queue_delay: Annotated[
        QueueDelay | None, BeforeValidator(_off, json_schema_input_type=QueueDelay | Literal[False, "off"] | None)
    ] = Field(default_factory=QueueDelay, description="When workers are too late, or `off`.")
    memory: Annotated[
        OverloadMemory | None,
        BeforeValidator(_off, json_schema_input_type=OverloadMemory | Literal[False, "off"] | None),
    ] = Field(default_factory=OverloadMemory, description="When memory runs out, or `off`.")
    rules: list[PriorityRule] = Field(
        default_factory=list,
        description="Who has which priority: the first that holds. Where none does, the route's `priority`, and where "
        "it has none, that of the caller's tier; `normal` at last.",
    )
    tiers: dict[str, Priority] = Field(
        default_factory=_free_is_low, description="Priorities of consumers by their tier."
    )
    retry_after: Duration = Field(
        1000,
        description="What a refusal tells in `Retry-After`; up to a second is added, so that not all return at once.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        delay = self.queue_delay
        if delay is not None and int(delay.interval) <= int(delay.target):
            where = (*path, "queue_delay", "interval")
            check.problem(where, "bad_value", "must be longer than `target`", "write ten times the target or more")
        return {
            "queue_delay": None if delay is None else {"target_ms": delay.target, "interval_ms": delay.interval},
            "memory": None if self.memory is None else self.memory.plan(check, (*path, "memory")),
            "rules": [{"when": str(rule.when), "priority": rule.priority} for rule in self.rules],
            "tiers": dict(self.tiers),
            "retry_after_ms": self.retry_after,
        }
