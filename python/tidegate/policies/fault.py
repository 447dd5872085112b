"""Delays requests, or answers them with an error, on purpose."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.fields import plan_fields
from tidegate.config.percent import WHOLE, Percent
from tidegate.config.problem import Path
from tidegate.config.values import Condition, Duration, Integer, Text
from tidegate.policies.policy import Policy


class FaultDelay(Model):
    """Holds requests up."""

    time: Duration = Field(description="How long a request is held.")
    share: Percent = Field(WHOLE, description="Share of the requests that are held.")


class FaultAbort(Model):
    """Answers requests with an error instead of the service."""

    status: Integer = Field(503, ge=400, le=599, description="Status of the answer.")
    share: Percent = Field(WHOLE, description="Share of the requests that are answered so.")


class Fault(Policy):
    """Delays requests, or answers them with an error, to find out what becomes of it."""

    delay: FaultDelay | None = Field(None, description="Hold requests up.")
    abort: FaultAbort | None = Field(None, description="Answer requests with an error. A request may be held first.")
    headers: dict[str, Condition] = Field(
        default_factory=dict,
        description="Only requests with these headers, written as the `headers` of a route.",
    )
    when: Text | None = Field(
        None, description="Only requests for which this CEL expression is true; it is written as in `authorize`."
    )
    most: Integer | None = Field(
        None, ge=1, description="Requests that are held at once, at most; more of them are left alone."
    )
    seed: Integer | None = Field(
        None,
        ge=0,
        lt=1 << 63,
        description="What the draws begin from: with the same, the same requests are hit in a row. Unless set, others "
        "each time.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.delay is None and self.abort is None:
            check.problem(path, "missing", "there is no fault to inject", "write `delay: {time: 1s}` or `abort: {}`")
        if self.most is not None and self.delay is None:
            check.problem((*path, "most"), "bad_value", "`most` is about `delay`, which is not there")
        return {
            "scope": check.scope,
            "delay": None if self.delay is None else {"time_ms": self.delay.time, "share": self.delay.share},
            "abort": None if self.abort is None else {"status": self.abort.status, "share": self.abort.share},
            "headers": plan_fields(self.headers, check, (*path, "headers"), header=True),
            "when": None if self.when is None else str(self.when),
            "most": self.most,
            "seed": self.seed,
        }
