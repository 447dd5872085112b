"""What every policy has: options, and a way into the plan."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator, PlainSerializer

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path


class Policy(Model):
    """The options of a policy."""

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them, every value explicit."""
        raise NotImplementedError


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
