"""What every policy has: options, and a way into the plan."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator, PlainSerializer

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path


class Policy(Model):
    """The options of a policy."""

    @classmethod
    def names(cls, name: str) -> tuple[str, ...]:
        """The names that `name` has in the plan: one, but for policies that act in two places of the order."""
        return (name,)

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them, every value explicit."""
        raise NotImplementedError

    def parts(self, name: str, check: Check, path: Path) -> dict[str, dict[str, Any]]:
        """As `plan`, by the names of the plan; those that the policy has nothing to say of are left out."""
        return {name: self.plan(check, path)}


def _switch(value: object) -> object:
    """`off`, `false` and nothing turn a policy off, `on` and `true` take its defaults."""
    if value is False or value == "off":
        return None
    return {} if value is True or value == "on" else value


SWITCHED = (
    BeforeValidator(_switch),
    PlainSerializer(lambda options: "off" if options is None else options, when_used="json"),
)
"""What makes a policy's options a switch, too."""
