"""When a service is no longer called, and when it is again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.actions.handler import plan_callback
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.failures import Failures, parted
from tidegate.config.fallback import Fallback
from tidegate.config.problem import Path
from tidegate.config.values import Duration, Integer, Share, Truth, duration, show_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.extend.events import BreakerEvent

ERRORS = ("connect_failure", "reset", "timeout", "malformed")
"""Failures without an answer that can be used, by the word that `count` knows them by."""
LONGEST_RETRY_AFTER_MS = 300_000
"""What `accept_retry_after: true` stands for."""
DEFAULT_THRESHOLD = 5
LONGEST_WINDOW_MS = 3_600_000
"""Of a rate: it has a place in memory for each of its seconds."""


def _retry_after(value: object) -> object:
    if value is None or value is False:
        return None
    return LONGEST_RETRY_AFTER_MS if value is True else duration(value)


if TYPE_CHECKING:
    RetryAfter: TypeAlias = int | str | bool | None
    ChangeCallback: TypeAlias = str | Callable[[BreakerEvent], Any]
else:
    from tidegate.config.callbacks import Callback as ChangeCallback

    RetryAfter = Annotated[
        int | None,
        BeforeValidator(_retry_after),
        PlainSerializer(lambda value: False if value is None else show_duration(value), when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"},
                    {"type": "integer"},
                    {"type": "boolean"},
                ],
                "title": "duration or truth value",
            }
        ),
    ]


class CircuitBreaker(Model):
    """Stops calling a service that fails, so that its callers fail fast and it can recover."""

    failure_threshold: Integer | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Failures in a row, the first and the last at most `window` apart, that open it. Unless set: 5, "
        "or none where a rate is given.",
    )
    success_threshold: Integer = Field(
        3,
        ge=1,
        le=10_000,
        description="Trial calls that have to succeed, one after another, before it closes. One that fails opens it "
        "again; so do these where as many of them as `slow_call_rate` says are slow.",
    )
    timeout: Duration = Field(30_000, description="How long it stays open before trial calls are let through.")
    window: Duration = Field(
        60_000,
        description="How far apart the failures in a row may be; and the length of the window of the rates, unless "
        "`window_calls` is set.",
    )
    failure_rate: Share | None = Field(
        None, description="Share of the calls in the window that fail, such as `50%`, at which it opens."
    )
    slow_call_rate: Share | None = Field(
        None, description="Share of the calls in the window that are slow at which it opens. Needs `slow_call`."
    )
    slow_call: Duration | None = Field(
        None, description="A call is slow when the head of its answer took longer than this."
    )
    minimum_calls: Integer = Field(
        20, ge=1, le=1_000_000, description="Of fewer calls in the window no rate is reckoned."
    )
    window_calls: Integer | None = Field(
        None, ge=1, le=100_000, description="The window of the rates is the last so many calls, however old."
    )
    half_open_calls: Integer | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Trial calls at the same time. Where only rates open it: trial calls in all, whose rates then "
        "decide. Unless set: `success_threshold`.",
    )
    ramp: Duration | None = Field(
        None,
        description="After it closed, the share of calls that go through grows from a tenth to all over this time.",
    )
    accept_retry_after: RetryAfter = Field(
        None,
        description="An answer 503 or 429 with `Retry-After` opens it for as long as that says, at most this; `true` "
        "is `5m`. Not for services that answer 429 to single callers.",
    )
    count: Failures = Field(
        default_factory=lambda: [*ERRORS, "5xx"],
        description="What is a failure: `connect_failure`, `reset`, `timeout`, `malformed`, statuses such as `503`, "
        "and the classes `4xx` and `5xx`.",
    )
    share: Truth = Field(
        False, description="Gateways with the same `redis` tell each other when it opens. Needs `redis`."
    )
    on_change: ChangeCallback | None = Field(
        None,
        description="A Python function, `module:function`, that is told of every change with a `BreakerEvent`. From "
        "Python, the function itself.",
    )
    fallback: Fallback | None = Field(
        None, description="What is answered instead; the same as `fallback` beside `circuit_breaker`."
    )

    def plan(self, name: str, check: Check, path: Path) -> dict[str, Any]:
        """The breaker as the engine takes it; `name` is what log and metrics call it."""
        by_rate = self.failure_rate is not None or self.slow_call_rate is not None
        self._check(check, path, by_rate)
        threshold = self.failure_threshold
        if threshold is None and not by_rate:
            threshold = DEFAULT_THRESHOLD
        errors, statuses = parted(self.count, ERRORS, check, (*path, "count"))
        return {
            "name": name,
            "failure_threshold": threshold,
            "success_threshold": self.success_threshold,
            "timeout_ms": self.timeout,
            "window_ms": self.window,
            "rates": self._rates() if by_rate else None,
            "half_open_calls": self.half_open_calls or self.success_threshold,
            "ramp_ms": self.ramp or 0,
            "retry_after_ms": self.accept_retry_after,
            "count": {**{error: error in errors for error in ERRORS}, "statuses": statuses},
            "share": self.share,
            "on_change": plan_callback(self.on_change, check, (*path, "on_change")),
        }

    def _check(self, check: Check, path: Path, by_rate: bool) -> None:
        if self.slow_call_rate is not None and self.slow_call is None:
            check.problem(path, "missing", "`slow_call` is missing; it says what `slow_call_rate` counts")
        if self.slow_call is not None and self.slow_call_rate is None:
            message = "`slow_call` has no effect without `slow_call_rate`"
            check.problem((*path, "slow_call"), "bad_value", message)
        for key in ("minimum_calls", "window_calls"):
            if key in self.model_fields_set and not by_rate:
                message = f"`{key}` has no effect without `failure_rate` or `slow_call_rate`"
                check.problem((*path, key), "bad_value", message)
        assert isinstance(self.window, int), "validation leaves milliseconds"
        if self.window_calls is None and by_rate and self.window > LONGEST_WINDOW_MS:
            check.problem((*path, "window"), "bad_value", "the window of a rate is at most one hour")

    def _rates(self) -> dict[str, Any]:
        return {
            "failure": self.failure_rate,
            "slow": self.slow_call_rate,
            "slow_call_ms": self.slow_call or 0,
            "minimum_calls": self.minimum_calls,
            "window_calls": self.window_calls,
        }
