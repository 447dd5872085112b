"""Compares what became of a request with what was expected of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.config.problem import Path
from tidegate.testing.answer import Answer
from tidegate.testing.compare import MISSING, matches, of_headers_by_name, of_json, of_json_by_path, problem_code
from tidegate.testing.message import Recorded
from tidegate.testing.rules import Rule
from tidegate.testing.suite.model import Asked, Expected, Got

Failure = tuple[Path, str]
"""Where in the step, and what is wrong."""

_TOKEN = {"missing_token", "token_expired", "invalid_token", "authentication_unavailable"}
_CREDENTIAL = {"missing_credentials", "invalid_credentials"}
REFUSALS: Mapping[str, frozenset[str]] = {
    "api_key": frozenset(_CREDENTIAL),
    "api_version": frozenset({"missing_version", "unknown_version", "version_not_acceptable", "version_gone"}),
    "authorize": frozenset({"forbidden"}),
    "basic": frozenset(_CREDENTIAL),
    "concurrency": frozenset({"too_many_concurrent", "limits_unavailable"}),
    "csrf": frozenset({"csrf_failed"}),
    "fault": frozenset({"fault_injected"}),
    "forward_auth": frozenset({"authentication_unavailable", "forbidden", *_CREDENTIAL}),
    "idempotency": frozenset(
        f"idempotency_{what}"
        for what in ("key_missing", "key_invalid", "key_in_use", "answer_not_kept", "key_reused", "unavailable")
    ),
    "introspection": frozenset(_TOKEN),
    "ip": frozenset({"address_denied"}),
    "jwt": frozenset(_TOKEN),
    "mtls": frozenset(_CREDENTIAL),
    "oidc": frozenset({*_TOKEN, *_CREDENTIAL}),
    "quota": frozenset({"quota_exceeded", "limits_unavailable"}),
    "rate_limit": frozenset({"rate_limited", "limits_unavailable"}),
    "any_of": frozenset({*_TOKEN, *_CREDENTIAL}),
    "all_of": frozenset({*_TOKEN, *_CREDENTIAL}),
}
"""The codes that each policy refuses with."""


@dataclass
class Happened:
    """One request, its answer, and what went on meanwhile."""

    answer: Answer
    upstream: list[tuple[str, Recorded]] = field(default_factory=list)
    """Requests that services got, with the name of each."""
    line: Mapping[str, Any] | None = None
    """Of the access log; `None` where nobody asks for it."""
    policies: frozenset[str] = frozenset()
    """Those of the route."""


def needs_line(expected: Expected) -> bool:
    """Whether the access log has to be looked at."""
    return bool(expected.model_fields_set & {"route", "allowed", "refused_by", "rule"})


def failures(expected: Expected, happened: Happened) -> Iterator[Failure]:
    """Everything that is not as it was expected."""
    answer = happened.answer
    if expected.status is not None and answer.status != expected.status:
        yield ("status",), f"expected {expected.status}, got {answer.status}{_why(answer)}"
    if expected.code is not None and (got := problem_code(answer)) != expected.code:
        yield ("code",), f"expected `{expected.code}`, got {f'`{got}`' if got else 'no problem document'}"
    if happened.line is not None:
        yield from _of_line(expected, happened, happened.line)
    for name, what in of_headers_by_name(answer, expected.headers):
        yield ("headers", name), what
    if "content" in expected.model_fields_set:
        for path, what in of_json_by_path(answer, expected.content, exactly=bool(expected.exactly)):
            yield ("json", *path), what
    if expected.text is not None and not matches(expected.text, text := answer.body.decode("utf-8", "replace")):
        yield ("text",), f"expected {expected.text!r}, got {text[:200]!r}"
    if expected.upstream is not None:
        yield from _of_upstream(expected.upstream, happened.upstream)


def _why(answer: Answer) -> str:
    code = problem_code(answer)
    return f" ({code})" if code else ""


def _of_line(expected: Expected, happened: Happened, line: Mapping[str, Any]) -> Iterator[Failure]:
    reason, route = line.get("reason"), line.get("route")
    if "route" in expected.model_fields_set and expected.route != route:
        yield ("route",), f"expected {_name(expected.route, 'no route')}, got {_name(route, 'no route')}"
    if expected.allowed is not None and expected.allowed == (reason is not None):
        yield ("allowed",), f"expected {str(expected.allowed).lower()}, got {_name(reason, 'no refusal')}"
    if expected.rule is not None and line.get("rule") != expected.rule:
        yield ("rule",), f"expected `{expected.rule}`, got {_name(line.get('rule'), 'none')}"
    policy = expected.refused_by
    if policy is not None:
        if reason not in REFUSALS.get(policy, ()):
            yield ("refused_by",), f"expected `{policy}`, got {_name(reason, 'no refusal')}"
        elif policy not in happened.policies:
            yield ("refused_by",), f"expected `{policy}`, which the route does not have; got `{reason}`"


def _name(value: Any, otherwise: str) -> str:
    return otherwise if value is None else f"`{value}`"


def _of_upstream(expected: list[Got], got: list[tuple[str, Recorded]]) -> Iterator[Failure]:
    left = list(got)
    for index, one in enumerate(expected):
        rule = _rule(one.request, one.query)
        near = [(name, request) for name, request in left if name == one.service and not rule.misfits(request)]
        fit = [pair for pair in near if not list(_of_request(one, pair[1]))]
        left = [pair for pair in left if pair not in fit[: one.times]]
        if len(fit) >= one.times:
            continue
        if len(near) == one.times == 1:
            left.remove(near[0])
            yield from ((("upstream", index, *path), what) for path, what in _of_request(one, near[0][1]))
        else:
            times = "" if one.times == 1 else f" {one.times} times"
            yield ("upstream", index), f"expected {one.service}: {rule}{times}, got {_requests(got)}"
    for name, request in left:
        yield ("upstream",), f"expected no {name}: {request}"


def _of_request(expected: Got, request: Recorded) -> Iterator[Failure]:
    for name, what in of_headers_by_name(request, expected.headers):
        yield ("headers", name), what
    if "content" in expected.model_fields_set:
        for what in of_json(request, expected.content):
            yield ("json",), what


def _rule(asked: Asked, query: Mapping[str, str]) -> Rule:
    return Rule(asked.method, None if asked.path == "*" else asked.path, query=query)


def _requests(got: list[tuple[str, Recorded]]) -> str:
    return ", ".join(f"{name}: {request}" for name, request in got) or "no requests"


def rule_of(asked: Asked, query: Mapping[str, str], headers: Mapping[str, str | None], body: Any = MISSING) -> Rule:
    """The rule of a service that takes what a file of tests says."""
    return Rule(asked.method, None if asked.path == "*" else asked.path, query=query, headers=headers, json=body)
