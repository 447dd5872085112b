"""Passes W3C `traceparent` on with a span of the gateway's, or begins a trace."""

from __future__ import annotations

from typing import Any

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.policies.policy import Policy


class TraceContext(Policy):
    """Passes W3C `traceparent` on with a span of the gateway's, or begins a trace."""

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {}
