"""The one reference syntax: `{path.id}`, `{header.x}`, `{request.path}`; `{{` and `}}` stand for braces."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from tidegate.config.problem import did_you_mean, quote

Part = dict[str, Any]

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[^\s{}]+")
OPEN_SOURCES = ("path", "query", "header", "cookie", "claims")
"""Sources that take any name after the dot."""
FIXED = {
    "consumer.name": "consumer_name",
    "consumer.tier": "consumer_tier",
    "consumer.tags": "consumer_tags",
    "identity.subject": "identity_subject",
    "identity.method": "identity_method",
    "client.ip": "client_ip",
    "route.name": "route_name",
    "service.name": "service_name",
    "request.id": "request_id",
    "request.method": "request_method",
    "request.path": "request_path",
    "request.query": "request_query",
    "request.host": "request_host",
    "request.scheme": "request_scheme",
}
KNOWN = tuple(f"{source}.NAME" for source in OPEN_SOURCES) + tuple(FIXED)


class Parsed(NamedTuple):
    """A text with its references taken apart."""

    parts: tuple[Part, ...]
    captures: tuple[str, ...]
    """Names after `path.`, which a route has to capture."""
    problems: tuple[tuple[str, str | None], ...]
    """Message and hint of each."""


@lru_cache(maxsize=256)
def parse(text: str) -> Parsed:
    """Takes a text apart; what is wrong with it is told, not raised."""
    if "{" not in text and "}" not in text:
        return Parsed(({"text": text},) if text else (), (), ())
    parts: list[Part] = []
    captures: list[str] = []
    problems: list[tuple[str, str | None]] = []
    literal = ""
    at = 0
    for match in _TOKEN.finditer(text):
        literal += text[at : match.start()]
        at = match.end()
        token = match[0]
        if token in ("{{", "}}"):
            literal += token[0]
            continue
        if match[1] is None:
            problems.append((f"`{token}` stands alone", f"write `{token * 2}` for the character itself"))
            continue
        found = reference(match[1], problems)
        if found is None:
            continue
        if literal:
            parts.append({"text": literal})
            literal = ""
        parts.append({"reference": found})
        if isinstance(found, dict) and "path" in found:
            captures.append(found["path"])
    literal += text[at:]
    if literal:
        parts.append({"text": literal})
    return Parsed(tuple(parts), tuple(captures), tuple(problems))


def is_bare(text: str) -> bool:
    """Whether a text without references is one but for its braces: `client.ip`."""
    return bool(text) and not set(text) & set("{}") and not parse(f"{{{text}}}").problems


def reference(inner: str, problems: list[tuple[str, str | None]]) -> str | dict[str, Any] | None:
    """What `{inner}` names of a request; `None`, with message and hint in `problems`, where that is nothing."""
    if inner in FIXED:
        return FIXED[inner]
    source, dot, name = inner.partition(".")
    if source in OPEN_SOURCES:
        if dot and source == "claims" and _NAME.fullmatch(name) and "" not in name.split("."):
            return {source: name.split(".")}
        if dot and source != "claims" and _NAME.fullmatch(name):
            return {source: name.lower() if source == "header" else name}
        problems.append((f"`{{{inner}}}` names nothing", f"write `{{{source}.name}}`"))
        return None
    shown = quote("{" + inner + "}")
    problems.append((f"unknown reference {shown}", _hint(inner, source)))
    return None


def _hint(inner: str, source: str) -> str:
    compact = inner.replace(" ", "")
    if compact != inner and (compact in FIXED or compact.partition(".")[0] in OPEN_SOURCES):
        return f"write `{{{compact}}}`, without spaces"
    near = did_you_mean(inner, FIXED) or (did_you_mean(source, OPEN_SOURCES) if "." in inner else None)
    if near and "." not in near:
        word = near.removeprefix("did you mean `").removesuffix("`?")
        return f"did you mean `{{{word}.{inner.partition('.')[2]}}}`?"
    if near:
        word = near.removeprefix("did you mean `").removesuffix("`?")
        return f"did you mean `{{{word}}}`?"
    return "known are " + ", ".join(f"`{{{name}}}`" for name in KNOWN) + "; write `{{` for a brace"
