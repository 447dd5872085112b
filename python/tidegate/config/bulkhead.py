"""How much of a service may be in use at once, so that one that hangs does not take the gateway with it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Duration, Integer, Share


class Adaptive(Model):
    """Finds out how many requests a service can take at once, by how long it takes for them."""

    initial: Integer = Field(20, ge=1, le=1_000_000, description="Requests at once to begin with.")
    minimum: Integer = Field(
        3,
        ge=1,
        le=1_000_000,
        description="Never fewer than these; and as many as there are while the least latency is measured.",
    )
    maximum: Integer = Field(1000, ge=1, le=1_000_000, description="Never more than these.")
    tolerance: Share = Field(
        250_000, description="How much more than the least latency answers may take before the limit shrinks."
    )
    window: Duration = Field(100, description="How often the limit is reckoned anew.")
    samples: Integer = Field(
        50, ge=1, le=1000, description="Answers by which the least latency is measured, at the `minimum`."
    )
    interval: Duration = Field(60_000, description="How often the least latency is measured.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.minimum > self.maximum:
            check.problem((*path, "minimum"), "bad_value", "`minimum` is more than `maximum`")
        return {
            "initial": self.initial,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "tolerance": self.tolerance,
            "window_ms": self.window,
            "samples": self.samples,
            "interval_ms": self.interval,
        }


class Bulkhead(Model):
    """How much of a service may be in use at once, over all workers."""

    max_requests: Integer | None = Field(
        None, ge=1, le=1_000_000, description="Calls under way at once. Without it, any number."
    )
    max_connections: Integer | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Open connections, busy and idle; of a service only, as routes share them. Without it, any number.",
    )
    max_pending: Integer = Field(
        100,
        ge=0,
        le=1_000_000,
        description="Calls that may wait for one of `max_requests`, and as many for one of `max_connections`, in the "
        "order in which they came. More are refused at once.",
    )
    queue_timeout: Duration = Field(1000, description="The longest that a call waits.")
    adaptive: Adaptive | None = Field(
        None, description="Find `max_requests` out instead of being told. `{}` takes the defaults."
    )

    def plan(self, name: str, check: Check, path: Path) -> dict[str, Any]:
        """The bulkhead as the engine takes it; `name` is what log and metrics call it."""
        if self.adaptive is not None and self.max_requests is not None:
            hint = "write the bound as `adaptive: {maximum: ...}`"
            message = "`adaptive` and `max_requests` exclude each other"
            check.problem((*path, "max_requests"), "bad_value", message, hint)
        if self.max_connections is not None and not check.scope.startswith("service/"):
            message = "`max_connections` belongs to the service, whose routes share its connections"
            check.problem((*path, "max_connections"), "bad_value", message)
        if self.adaptive is None and self.max_requests is None and self.max_connections is None:
            hint = "write `max_requests`, `max_connections` or `adaptive`"
            check.problem(path, "missing", "the bulkhead has no bound", hint)
        adaptive = None if self.adaptive is None else self.adaptive.plan(check, (*path, "adaptive"))
        return {
            "name": name,
            "max_requests": self.max_requests,
            "max_connections": self.max_connections,
            "max_pending": self.max_pending,
            "queue_timeout_ms": self.queue_timeout,
            "adaptive": adaptive,
        }
