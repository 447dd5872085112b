"""One call of an answer on its way into the plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.config.calling import plan_retries
from tidegate.config.check import TOKEN, Check
from tidegate.config.compose.conditions import plan_when
from tidegate.config.compose.models import STATUSES, Call, Compose
from tidegate.config.compose.names import Names, steps
from tidegate.config.compose.shapes import dump, plan_shape
from tidegate.config.problem import Path, did_you_mean, quote

_NOT_IN_PATH = re.compile(r"[\x00-\x20\x7f\\]")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DOTS = re.compile(r"(\.|%2e){1,2}", re.IGNORECASE)
_WITHOUT_BODY = ("GET", "HEAD")
_NOT_FORWARDED = {
    "accept-encoding": "the answers are read as JSON, so they come as they are",
    "range": "part of an answer is no JSON",
    "if-range": "part of an answer is no JSON",
    "if-match": "it is about the composed answer, not about that of a service",
    "if-none-match": "it is about the composed answer, not about that of a service",
    "if-modified-since": "it is about the composed answer, not about that of a service",
    "if-unmodified-since": "it is about the composed answer, not about that of a service",
    "content-type": "it is about the client's body, which does not go to the call as it is",
    "content-encoding": "it is about the client's body, which does not go to the call as it is",
}
"""Headers of clients that cannot go along with a call, and why."""


def forwarded(names: Any, check: Check, path: Path) -> list[str]:
    """Headers of the client that go along, in lower case."""
    out = []
    for index, name in enumerate(names):
        lower = check.header(name, (*path, index))
        if lower in _NOT_FORWARDED:
            check.problem((*path, index), "bad_header", f"`{lower}` does not go to a call: {_NOT_FORWARDED[lower]}")
        out.append(lower)
    return list(dict.fromkeys(out))


def plan_call(
    name: str, compose: Compose, names: Names, calling: Callable[[str], Mapping[str, Any]], path: Path
) -> dict[str, Any]:
    """A call as the engine takes it. `calling`: how a service is called."""
    call, check = compose.calls[name], names.check
    method = call.method.upper()
    if not TOKEN.fullmatch(method) or method == "CONNECT":
        check.problem((*path, "method"), "bad_value", f"{quote(call.method)} is not a method that a call can have")
    _agrees(call, method, check, path)
    inner = names
    for_each = None
    if call.for_each is not None:
        over = names.data(call.for_each, (*path, "for_each"), "`for_each`")
        inner = names.with_items(["item"])
        for_each = {
            "over": over,
            "concurrency": call.concurrency,
            "distinct": call.distinct and method in _WITHOUT_BODY,
        }
    retry = None if call.retries is None else plan_retries(call.retries, check, (*path, "retries"))
    every = forwarded(compose.forward_headers, Check(), ())
    return {
        "name": name,
        "proxy": {
            "service": str(call.service),
            "calling": None if retry is None else {**calling(str(call.service)), "retry": retry},
        },
        "method": method,
        "path": _path(call.path, inner, (*path, "path")),
        "query": [[key, inner.parts(value, (*path, "query", key))] for key, value in call.query.items()],
        "headers": [
            [check.header(key, (*path, "headers", key)), _header(value, inner, (*path, "headers", key))]
            for key, value in call.headers.items()
        ],
        "forward_headers": list(
            dict.fromkeys([*every, *forwarded(call.forward_headers, check, (*path, "forward_headers"))])
        ),
        "body": None if call.body is None else plan_shape(call.body, inner, (*path, "body")),
        "timeout_ms": call.timeout,
        "when": None if call.when is None else plan_when(call.when, names, (*path, "when")),
        "for_each": for_each,
        "optional": is_optional(call),
        "default": dump(call.default),
        "fallback": _fallback(call, names, (*path, "fallback")),
        "pass_errors": call.on_error == "pass",
        "expect": _expected(call.expect),
        "share": call.cache_for == "request" and method in _WITHOUT_BODY,
        "needs": sorted(names.needs),
    }


def is_optional(call: Call) -> bool:
    """The answer does without it."""
    return call.optional or "default" in call.model_fields_set


def _agrees(call: Call, method: str, check: Check, path: Path) -> None:
    """Notes options that have no effect beside each other."""
    given = call.model_fields_set
    if call.for_each is None:
        for name in ("concurrency", "distinct"):
            if name in given:
                check.problem((*path, name), "bad_value", f"`{name}` goes with `for_each`")
    if method not in _WITHOUT_BODY:
        for name, chosen in (("distinct", call.distinct and "distinct" in given), ("cache_for", call.cache_for)):
            if chosen:
                check.problem(
                    (*path, name), "bad_value", f"`{name}` goes with GET and HEAD: a {method} is sent each time"
                )
    elif call.body is not None:
        check.problem((*path, "body"), "bad_value", f"a {method} has no body", "write `method: POST`")
    if is_optional(call) and call.on_error == "pass":
        message = "the call is optional, so no error of it is passed on"
        check.problem((*path, "on_error"), "bad_value", message)
    if "default" in given and "optional" in given and not call.optional:
        check.problem((*path, "default"), "bad_value", "the call has a `default`, which makes it optional")


def _path(text: str, names: Names, path: Path) -> list[dict[str, Any]]:
    check = names.check
    parts = names.parts(text, path, target=True)
    literal = "".join(part.get("text", "x") for part in parts)
    if not text.startswith("/"):
        message = f"expected a path that starts with `/`, got {quote(text)}"
        hint = (
            "only the service says where requests go" if "://" in text or text.startswith("{") else f"write `/{text}`"
        )
        check.problem(path, "bad_path", message, hint)
    if "#" in literal:
        check.problem(path, "bad_path", "a path that is sent to a service has no `#`")
    if "?" in literal:
        check.problem(path, "bad_path", "a query does not stand in `path`", "write it under `query`")
    if _NOT_IN_PATH.search(literal):
        message = "a path has no spaces, backslashes or control characters"
        check.problem(path, "bad_path", message, "write them percent-encoded: `%20`")
    if _BARE_PERCENT.search(literal):
        check.problem(path, "bad_path", "`%` without two hexadecimal digits", "write `%25` for the character itself")
    if any(_DOTS.fullmatch(segment) for segment in literal.split("/")):
        check.problem(path, "bad_path", "a path has no segments `.` and `..`")
    for part in parts:
        if "*" in steps(part.get("source")):
            message = "`*` makes a list, and a list cannot stand in a path"
            check.problem(path, "bad_reference", message, "write `for_each`, and `{item}` in the path")
    return parts


def _header(text: str, names: Names, path: Path) -> list[dict[str, Any]]:
    if _CONTROL.search(text):
        names.check.problem(path, "bad_value", "a header value has no line breaks or control characters")
    return names.parts(text, path)


def _fallback(call: Call, names: Names, path: Path) -> int | None:
    if call.fallback is None:
        return None
    number = names.calls.get(call.fallback)
    if number is None:
        hint = did_you_mean(call.fallback.strip("{}"), [known for known in names.calls if known != path[-2]])
        names.check.problem(path, "unknown_name", f"no call is named {quote(call.fallback)}", hint)
    return number


def _expected(statuses: Any) -> list[tuple[int, int]]:
    """Ranges in order, those that meet as one."""
    ranges: list[tuple[int, int]] = []
    for entry in statuses:
        match = STATUSES.fullmatch(entry) if isinstance(entry, str) else None
        ranges.append((int(match[1]), int(match[2])) if match else (int(entry), int(entry)))
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out
