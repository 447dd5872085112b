"""What the commands ask the engine: the one place where they meet it."""

from __future__ import annotations

import json
from typing import Any, TypedDict, cast

from tidegate.config import Loaded
from tidegate.config.precedence import native
from tidegate.config.problem import count
from tidegate.errors import UsageError


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


class Composed(TypedDict):
    """What a composition does for the request."""

    view: str | None
    calls: list[str]
    """That are made, unless the answers before say otherwise."""


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
    composed: Composed | None


def actions(loaded: Loaded) -> list[str]:
    """What answers each route of the plan, in a few words."""
    return [_action(route["action"]) for route in json.loads(loaded.plan)["routes"]]


def composed(loaded: Loaded, route: int) -> dict[str, Any] | None:
    """The graph of calls that answers a route of the plan."""
    action: dict[str, Any] = json.loads(loaded.plan)["routes"][route]["action"]
    return action.get("compose")


def _action(action: dict[str, Any]) -> str:
    (kind, options), *_ = action.items()
    if kind == "proxy":
        return f"service {options['service']}"
    if kind == "split":
        return f"services {', '.join(side['proxy']['service'] for side in options['sides'])}"
    if kind == "mirror":
        return f"{_action(options['action'])}, copied to {options['copy']['service']}"
    if kind == "compose":
        return f"compose of {count(len(options['calls']), 'call')}"
    if kind == "handler":
        return f"handler {options['name']}"
    if kind == "app":
        return f"app {options['handler']['name']}"
    if kind == "signing_keys":
        return "signing keys"
    return f"{kind} {options['status']}"


def explain(loaded: Loaded, method: str, url: str, headers: list[tuple[str, str]], client: str) -> Explanation:
    """What would happen to a request."""
    try:
        return cast("Explanation", json.loads(native().explain(loaded.plan, method, url, headers, client)))
    except ValueError as error:
        raise UsageError(str(error)) from None
