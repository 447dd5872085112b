"""What a composed answer says that can hardly be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.config.compose.graph import levels, longest_chain
from tidegate.config.loaded import Loaded
from tidegate.config.problem import Path, Problem, quote
from tidegate.config.values import show_duration

LONGEST_CHAIN = 3
WIDE = 4
CHATTY = 20

Doubt = tuple[Path, str, str, str]
"""Path below the route, code, message and hint."""
Written = Mapping[str, Any]


def doubts(loaded: Loaded, plan: dict[str, Any]) -> list[Problem]:
    """The doubts about all composed answers of a document."""
    composed = [(number, route) for number, route in enumerate(plan["routes"]) if "compose" in route["action"]]
    if not composed:
        return []
    written = loaded.written()
    routes: dict[str, Written] = {str(route.get("name")): route for route in written.get("routes", ())}
    services = {service.get("name"): service for service in written.get("services", ())}
    timed = {service["name"] for service in plan["services"] if service["calling"]["timeout_ms"] is not None}
    found: dict[Problem, None] = {}  # versions of a route may tell the same
    for number, route in composed:
        compose = route["action"]["compose"]
        for path, code, message, hint in (
            *_of_graph(compose),
            *_without_timeout(compose, _written(routes, route["name"]), timed),
            *_skipped_policies(route, services),
            *_without_body(route),
        ):
            shown, file, line = loaded.place(("routes", number, *path))
            found[Problem(f"config.{code}", message, shown, file, line, hint).without(loaded.secrets)] = None
    return list(found)


def _written(routes: Mapping[str, Written], name: str) -> Written:
    """A route as it is written; the name may be that of one of its versions, `orders@2`."""
    return routes.get(name) or routes.get(name.rpartition("@")[0], {})


def _of_graph(compose: dict[str, Any]) -> Iterator[Doubt]:
    calls = compose["calls"]
    edges = {number: call["needs"] for number, call in enumerate(calls)}
    chain = longest_chain(edges, len(calls))
    if len(chain) > LONGEST_CHAIN:
        shown = " -> ".join(calls[number]["name"] for number in chain)
        message = f"{len(chain)} calls wait for one another: {shown}"
        hint = "each adds its whole time; a service that answers with more would save some"
        yield (("compose", "calls", calls[chain[-1]]["name"]), "long_chain", message, hint)
    of_level = levels(edges, len(calls))
    spare = {call["fallback"] for call in calls} - {None}
    for level in sorted(set(of_level)):
        wide = [call for number, call in enumerate(calls) if of_level[number] == level and number not in spare]
        if len(wide) >= WIDE and not any(call["optional"] for call in wide):
            message = f"{len(wide)} calls at once, and none is optional: the answer is there only when all of them are"
            hint = "write `optional: true` at those that the answer can do without"
            yield (("compose", "calls", wide[0]["name"]), "all_required", message, hint)
    if len(calls) >= CHATTY:
        hint = "a service that answers several of them at once would spare the others"
        yield (("compose", "calls"), "chatty", f"{len(calls)} calls for one answer", hint)


def _without_timeout(compose: dict[str, Any], route: Written, timed: set[str]) -> Iterator[Doubt]:
    """`route`: as it is written; the composed answer may be that of one of its versions."""
    named = [call["name"] for call in compose["calls"]]
    parts = (route, *(route.get("versions") or {}).get("list", ()))
    own = next((part for part in parts if list((part.get("compose") or {}).get("calls", ())) == named), None)
    if own is None or "timeout" in route or "timeout" in own or "timeout" in own["compose"]:
        return
    names = [
        call["name"]
        for call in compose["calls"]
        if call["timeout_ms"] is None and call["proxy"]["service"] not in timed
    ]
    if names:
        most = show_duration(compose["timeout_ms"])
        calls = ", ".join(quote(name) for name in names)
        what = f"the call {calls} has" if len(names) == 1 else f"the calls {calls} have"
        message = f"{what} no timeout: it is {most}, that of every `compose`"
        yield (("compose",), "no_timeout", message, "write `timeout` at `compose`, at the calls or at their services")


def _skipped_policies(route: dict[str, Any], services: Mapping[Any, Written]) -> Iterator[Doubt]:
    there = {name.removeprefix("early_") for policy in route["policies"] for name in policy}
    told = set()
    for call in route["action"]["compose"]["calls"]:
        service = call["proxy"]["service"]
        own = services.get(service, {}).get("policies") or {}
        skipped = [name for name, options in own.items() if options not in (None, False, "off") and name not in there]
        if skipped and service not in told:
            told.add(service)
            names = ", ".join(quote(name) for name in skipped)
            message = f"the policies of the service {quote(service)} do not hold here: {names}"
            hint = "write them at the route, or at the gateway for all routes"
            yield (("compose", "calls", call["name"], "service"), "skipped_policies", message, hint)


def _without_body(route: dict[str, Any]) -> Iterator[Doubt]:
    if route["action"]["compose"]["reads_body"] and route["methods"] and set(route["methods"]) <= {"GET", "HEAD"}:
        message = "`{body}` is named, and the route takes requests without one"
        yield (("methods",), "no_body", message, "write `methods: [POST]`")
