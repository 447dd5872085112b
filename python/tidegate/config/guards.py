"""What a document says of credentials and who calls that can hardly be meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tidegate.config.loaded import Loaded
from tidegate.config.problem import Path, Problem, quote
from tidegate.policies.credentials import CREDENTIALS

_TREES = ("any_of", "all_of")
_NEAR = (
    ".corp",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localhost",
    ".private",
    ".svc",
    ".test",
)
"""Ends of names that no public resolver knows; so are names without a dot."""
_ABOUT_THE_CALLER = ("consumers", "tiers", "tags", "scopes", "roles", "groups", "claims")
_CEL_CALLER = re.compile(r"\b(claims|consumer|identity)\b")


class _Doubt(NamedTuple):
    policy: Path
    code: str
    message: str
    hint: str


def doubts(loaded: Loaded, plan: dict[str, Any]) -> list[Problem]:
    """Policies that cannot do what they are there for, and credentials that go over plain http."""
    far = dict(_far_services(plan["services"]))
    asked = any(one["tls"] and one["tls"]["client_certificates"] != "none" for one in plan["listeners"])
    of_gateway = set(_doubts(plan["policies"], far, asked))
    found: dict[tuple[Path, _Doubt], None] = {}
    for number, route in enumerate(plan["routes"]):
        for doubt in _doubts(route["policies"], far, asked):
            # What the gateway says for all routes is told once.
            place: Path = () if doubt in of_gateway else ("routes", number)
            found[(*place, "policies", *doubt.policy), doubt] = None
    found |= dict.fromkeys(_counts_nothing(plan["routes"]))
    return [_problem(loaded, path, doubt) for path, doubt in found]


def _problem(loaded: Loaded, path: Path, doubt: _Doubt) -> Problem:
    shown, file, line = loaded.place(path)
    return Problem(doubt.code, doubt.message, shown, file, line, doubt.hint).without(loaded.secrets)


def _doubts(policies: list[dict[str, Any]], far: dict[str, str], asked: bool) -> Iterator[_Doubt]:
    has_credentials = _has_credentials(policies)
    for place, options in _flat(policies):
        name = str(place[-1])
        if name == "mtls" and not asked and (len(place) > 1 or options["optional"]):  # else nobody can pass at all
            message = "`mtls` wants certificates, and no listener asks clients for one"
            hint = "write `client_certificates: required` or `optional` in the `tls` of a listener"
            yield _Doubt(place, "config.no_client_certificates", message, hint)
        if name == "authorize" and not has_credentials and _asks_who_calls(options):
            message = "`authorize` asks who calls, and no policy here finds that out"
            yield _Doubt(place, "config.no_credentials", message, "write `jwt` or another kind of credential beside it")
        for what, host in _plain_http(name, options, far):
            message = f"{what} over plain http: whoever is on the way to {quote(host)} can read and change it"
            yield _Doubt(place, "config.plain_http", message, "write `https://`")


def _counts_nothing(routes: list[dict[str, Any]]) -> Iterator[tuple[Path, _Doubt]]:
    """Limits of refused credentials that stand on no route with credentials."""
    useful: set[str] = set()
    first: dict[str, int] = {}
    for number, route in enumerate(routes):
        for policy in route["policies"]:
            limits = policy.get("early_rate_limit", {}).get("limits", ())
            if any(limit["count"] == "refused_credentials" for limit in limits):
                key = json.dumps(policy)
                first.setdefault(key, number)
                if _has_credentials(route["policies"]):
                    useful.add(key)
    message = "`refused_credentials` counts nothing, as no credentials are asked for"
    hint = "write `basic`, `jwt` or another kind of credential beside it"
    for key, number in first.items():
        if key not in useful:
            yield (
                ("routes", number, "policies", "rate_limit"),
                _Doubt(("rate_limit",), "config.no_credentials", message, hint),
            )


def _flat(policies: list[dict[str, Any]], place: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Policies by place and name, with those inside of trees."""
    for policy in policies:
        for name, options in policy.items():
            yield (*place, name), options
            if name in _TREES:
                yield from _flat(options["of"], (*place, name))


def _has_credentials(policies: list[dict[str, Any]]) -> bool:
    return any(name in CREDENTIALS or name in _TREES for policy in policies for name in policy)


def _asks_who_calls(authorize: dict[str, Any]) -> bool:
    return any(
        any(rule[condition] for condition in _ABOUT_THE_CALLER) or _CEL_CALLER.search(rule["when"] or "")
        for rule in authorize["rules"]
        if rule["allow"]
    )


def _plain_http(name: str, options: dict[str, Any], far: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What goes over plain http, and to which host."""
    for keys in _remote_keys(name, options):
        url = urlsplit(keys["url"])
        if url.scheme == "http" and url.hostname and not _is_near(url.hostname):
            yield "the keys that tokens are checked with come", url.hostname
    for service in _asked(name, options):
        if service in far:
            yield "credentials go, and what is said of them comes,", far[service]


def _asked(name: str, options: dict[str, Any]) -> Iterator[str]:
    """Services that a policy asks about credentials."""
    if name in ("introspection", "forward_auth"):
        yield options["service"]
    if name == "oidc":
        yield from (at["service"] for at in (options["token_endpoint"], options["userinfo_endpoint"]) if at)


def _remote_keys(name: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if name == "jwt":
        yield from (issuer["keys"]["remote"] for issuer in options["issuers"] if "remote" in issuer["keys"])
    if name == "oidc":
        yield options["keys"]


def _far_services(services: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Services that are called over plain http beyond the own network, and a host of theirs."""
    for service in services:
        if service["tls"] is None:
            hosts = (target["address"].rpartition(":")[0].strip("[]") for target in service["targets"])
            host = next((host for host in hosts if host and host != "unix" and not _is_near(host)), None)
            if host is not None:
                yield service["name"], host


def _is_near(host: str) -> bool:
    """Whether a host is of the own machine or network, as far as its name tells."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_NEAR)
    return address.is_private or address.is_loopback or address.is_link_local
