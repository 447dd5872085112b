"""What every policy has: options, and a way into the plan."""

from __future__ import annotations

from typing import Any

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path


class Policy(Model):
    """The options of a policy."""

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them, every value explicit."""
        raise NotImplementedError
