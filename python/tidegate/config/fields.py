"""Conditions on headers, query parameters and cookies, as the engine takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Condition


def plan_fields(
    conditions: Mapping[str, Condition], check: Check, path: Path, *, header: bool = False
) -> list[dict[str, Any]]:
    """The conditions by name; names of headers are checked."""
    return [
        _match(check.header(name, (*path, name), edit=False) if header else name, values)
        for name, values in conditions.items()
    ]


def _match(name: str, values: Condition) -> dict[str, Any]:
    assert isinstance(values, list), "validation leaves lists"
    return {"name": name, "values": [plan_value(value) for value in values]}


def plan_value(value: str) -> dict[str, str]:
    """One value of a condition as the engine takes it."""
    if value.startswith("~*"):  # Kong's mark of a regular expression without regard to case
        return {"regex": f"(?i){value[2:]}"}
    return {"regex": value[1:]} if value.startswith("~") else {"exact": value}
