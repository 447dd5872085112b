"""What the commands ask the engine: the one place where they meet it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict, cast

from tidegate.config import Loaded, Problem
from tidegate.config.problem import quote
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


class Reason(TypedDict):
    """Why a route does not take a request."""

    kind: str
    text: str


class Winner(TypedDict):
    """The route that takes a request."""

    route: int
    name: str
    host: str | None
    path: str | None
    captures: list[tuple[str, str]]
    because: list[str]


class Loser(TypedDict):
    """A route that came near."""

    route: int
    name: str
    host: str | None
    path: str | None
    reasons: list[Reason]


class Sent(TypedDict):
    """What goes to the service."""

    method: str
    url: str
    headers: list[tuple[str, str]]


class Explanation(TypedDict):
    """What would happen to a request."""

    outcome: str
    """`route`, `no_route`, `method_not_allowed` or `refused`."""
    reason: str | None
    """Why it is refused."""
    winner: Winner | None
    allow: str | None
    losers: list[Loser]
    more_losers: int
    upstream: Sent | None


def _native() -> ModuleType:
    """The engine, loaded when a command needs it."""
    try:
        from tidegate import _native as native
    except ImportError as error:
        raise UsageError(f"the engine is not built, run `make` in the source tree ({error})") from None
    return native


def compile_problems(loaded: Loaded, path: Path) -> list[Problem]:
    """What the engine, and the import of handlers, find wrong with a document that loaded."""
    from tidegate.extend import handlers
    from tidegate.serve.source import find_modules_in

    find_modules_in(path)
    found = loaded.problems(_native().compile_plan(loaded.plan))
    return sorted([*found, *handlers.check(loaded.handlers)], key=Problem.order)


def table(loaded: Loaded) -> list[Line]:
    """All routes in the order of precedence."""
    return cast("list[Line]", json.loads(_native().route_table(loaded.plan)))


def actions(loaded: Loaded) -> list[str]:
    """What answers each route of the plan, in a few words."""
    return [_action(route["action"]) for route in json.loads(loaded.plan)["routes"]]


def _action(action: dict[str, Any]) -> str:
    (kind, options), *_ = action.items()
    if kind == "proxy":
        return f"service {options['service']}"
    if kind == "handler":
        return f"handler {options['name']}"
    return f"{kind} {options['status']}"


def warnings(loaded: Loaded) -> list[Problem]:
    """The routes that can never match."""
    out = []
    reachable: dict[int, bool] = {}
    shadows: dict[int, dict[str, None]] = {}
    names: dict[int, str] = {}
    for line in table(loaded):
        number = line["route"]
        names[number] = line["name"]
        reachable[number] = reachable.get(number, False) or not line["shadowed_by"]
        shadows.setdefault(number, {}).update(dict.fromkeys(line["shadowed_by"]))
    for number in sorted(number for number, reached in reachable.items() if not reached):
        by = " and ".join(quote(name) for name in shadows[number] if name != names[number])
        message = f"this route can never match; {by} before it takes all its requests"
        out.append(loaded.problem(f"routes[{number}]", "config.unreachable_route", message))
    return sorted(out, key=Problem.order)


def explain(loaded: Loaded, method: str, url: str, headers: list[tuple[str, str]], client: str) -> Explanation:
    """What would happen to a request."""
    try:
        return cast("Explanation", json.loads(_native().explain(loaded.plan, method, url, headers, client)))
    except ValueError as error:
        raise UsageError(str(error)) from None
