"""The order in which routes are tried, as the engine works it out, and the routes that can never match."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TypedDict, cast

from tidegate.config.loaded import Loaded
from tidegate.config.problem import Problem, quote
from tidegate.errors import UsageError


class Overlap(TypedDict):
    """A route that shares requests with another."""

    name: str
    kind: str
    """`same`, `within`, `contains` or `partial`."""


class Line(TypedDict):
    """One host and path of a route, in the order of precedence."""

    route: int
    name: str
    host: str | None
    path: str | None
    methods: list[str]
    conditions: list[str]
    shadowed_by: list[str]
    overlaps: list[Overlap]


def native() -> ModuleType:
    """The engine, loaded when it is needed: the document can be read without it."""
    try:
        from tidegate import _native
    except ImportError as error:
        raise UsageError(f"the engine is not built, run `make` in the source tree ({error})") from None
    return _native


def table(loaded: Loaded) -> list[Line]:
    """All routes in the order of precedence."""
    return cast("list[Line]", json.loads(native().route_table(loaded.plan)))


def unreachable(loaded: Loaded) -> list[Problem]:
    """The routes that can never match, as problems to be warned of."""
    shadows: dict[int, dict[str, None]] = {}
    names: dict[int, str] = {}
    reachable: set[int] = set()
    for line in table(loaded):
        number = line["route"]
        names[number] = line["name"]
        shadows.setdefault(number, {}).update(dict.fromkeys(line["shadowed_by"]))
        if not line["shadowed_by"]:
            reachable.add(number)
    out = []
    for number in sorted(set(names) - reachable):
        by = " and ".join(quote(name) for name in shadows[number] if name != names[number])
        message = f"this route can never match; {by} before it takes all its requests"
        out.append(loaded.problem(f"routes[{number}]", "config.unreachable_route", message))
    return sorted(out, key=Problem.order)
