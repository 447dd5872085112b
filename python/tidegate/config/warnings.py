"""What a document says that can hardly be meant. A warning stops nothing."""

from __future__ import annotations

import json
from typing import Any

from tidegate.config.compose import doubts as composed
from tidegate.config.guards import doubts
from tidegate.config.loaded import Loaded
from tidegate.config.precedence import unreachable
from tidegate.config.problem import Problem


def warnings(loaded: Loaded) -> list[Problem]:
    """What to warn of, as problems."""
    plan = json.loads(loaded.plan)
    if plan["routes"]:
        found = [*unreachable(loaded), *_closed(loaded, plan), *doubts(loaded, plan), *composed.doubts(loaded, plan)]
        return sorted(found, key=Problem.order)
    file = next((str(file) for file in loaded.documents), None) if len(loaded.documents) == 1 else None
    message = "there are no routes: every request is answered with 404"
    return [Problem("config.no_routes", message, file=file, hint="write some under `routes`")]


def _closed(loaded: Loaded, plan: dict[str, Any]) -> list[Problem]:
    """Credentials that nobody can have, each at the first route that asks for them."""
    nobody = _nobody(loaded, plan)
    found = []
    for index, route in enumerate(plan["routes"]):
        for place, policy in enumerate(route["policies"]):
            [(name, options)] = policy.items()
            key = "any mtls" if name == "mtls" and options["any"] else name
            if key in nobody and not options["optional"]:
                message, hint = nobody.pop(key)
                path = f"routes[{index}].policies[{place}]"
                found.append(loaded.problem(path, "config.closed_route", f"nobody can pass: {message}", hint))
    return found


def _nobody(loaded: Loaded, plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Why nobody has a credential, and what to do, by policy."""
    reasons = {
        "api_key": (
            "no consumer has `keys`, and there is no `store`",
            "write `store: {}`, and make a key with `tidegate keys create`",
        ),
        "basic": ("no consumer has `basic`", "give one a name and the hash that `tidegate keys hash-password` makes"),
        "mtls": ("no consumer has `certificates`", "give one a name of its certificate, or write `mtls: {any: true}`"),
    }
    for consumer in plan["consumers"]:
        for policy, credential in (("api_key", "keys"), ("basic", "basic"), ("mtls", "certificates")):
            if consumer[credential] and consumer["enabled"]:
                reasons.pop(policy, None)
    if loaded.store is not None:
        reasons.pop("api_key", None)
    if not any(_asks(listener) for listener in plan["listeners"]):
        hint = "write `client_certificates: optional` and `client_ca` in the `tls` of one"
        reasons["mtls"] = reasons["any mtls"] = "no listener asks for client certificates", hint
    return reasons


def _asks(listener: dict[str, Any]) -> bool:
    return bool(listener["tls"]) and listener["tls"]["client_certificates"] != "none"
