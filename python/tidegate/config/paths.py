"""Path patterns: `/prefix`, `=/exact`, `/orders/{id}`, `/files/{rest...}`, `~regex`.

Literals are put into the normal form that the engine gives to the paths of requests.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from tidegate.config.problem import quote

Pattern = dict[str, Any]

_CAPTURE = re.compile(r"\{([A-Za-z_]\w*)(\.\.\.)?\}", re.ASCII)
_GROUP = re.compile(r"\(\?P?<([A-Za-z_]\w*)>", re.ASCII)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@]*")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Parsed(NamedTuple):
    """A pattern as the engine takes it."""

    plan: Pattern
    captures: frozenset[str]
    problems: tuple[tuple[str, str | None], ...]
    """Message and hint of each."""


@lru_cache(maxsize=256)
def parse(text: str) -> Parsed:
    """Takes a pattern apart; what is wrong with it is told, not raised."""
    problems: list[tuple[str, str | None]] = []
    if text.startswith("~"):
        pattern = text[1:].lstrip(" ")
        if not pattern:
            problems.append(("expected a regular expression after `~`", None))
        return Parsed({"regex": pattern}, frozenset(_GROUP.findall(pattern)), tuple(problems))
    kind, path = ("exact", text[1:]) if text.startswith("=") else ("prefix", text)
    segments, captures = _segments(path, problems)
    return Parsed({kind: segments}, frozenset(captures), tuple(problems))


def _segments(path: str, problems: list[tuple[str, str | None]]) -> tuple[list[dict[str, str]], list[str]]:
    if not path.startswith("/"):
        problems.append(
            (f"expected a path that starts with `/`, got {quote(path)}", f"write `/{path}`" if path else "write `/`")
        )
        return [], []
    if "?" in path or "#" in path:
        problems.append((f"a path has no `?` and no `#`, got {quote(path)}", "use `query` for conditions on the query"))
        return [], []
    out: list[dict[str, str]] = []
    captures: list[str] = []
    parts = path[1:].split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "":
            if last and out:
                out.append({"literal": ""})
            continue
        if "{" in part or "}" in part:
            _capture(part, last, out, captures, problems)
            continue
        literal = part if _PLAIN.fullmatch(part) else normal(part, problems)
        if literal.startswith((".;", "..;")) or literal.startswith((".%3B", "..%3B")):
            problems.append((f"a dot segment with a parameter, {quote(part)}", None))
        if literal in (".", ".."):
            if literal == ".." and not out:
                problems.append((f"`..` above the root in {quote(path)}", None))
            if literal == ".." and out:
                out.pop()
            if last and out:
                out.append({"literal": ""})
            continue
        out.append({"literal": literal})
    return out, captures


def _capture(
    part: str, last: bool, out: list[dict[str, str]], captures: list[str], problems: list[tuple[str, str | None]]
) -> None:
    match = _CAPTURE.fullmatch(part)
    if match is None:
        hint = "use a regular expression, `~/a-(?<name>[^/]+)`, or write braces as `%7B` and `%7D`"
        problems.append((f"expected a whole segment such as `{{name}}`, got {quote(part)}", hint))
        return
    name, rest = match[1], match[2]
    if name in captures:
        problems.append((f"`{name}` is captured twice", None))
    if rest and not last:
        problems.append(
            (f"`{{{name}...}}` takes all that is left, so it comes last", f"write `{{{name}}}` for one segment")
        )
    captures.append(name)
    out.append({"rest" if rest else "capture": name})


def normal(part: str, problems: list[tuple[str, str | None]]) -> str:
    """The normal form of one literal segment."""
    out: list[str] = []
    at = 0
    for match in _ESCAPE.finditer(part):
        out.append(_raw(part[at : match.start()], problems))
        at = match.end()
        if match[1] is None:
            problems.append((f"`%` without two hexadecimal digits in {quote(part)}", "write `%25` for a percent sign"))
            continue
        byte = int(match[1], 16)
        if byte < 0x20 or byte == 0x7F:
            problems.append((f"control character `%{match[1]}` in {quote(part)}", None))
        out.append(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}")
    out.append(_raw(part[at:], problems))
    return "".join(out)


def _raw(text: str, problems: list[tuple[str, str | None]]) -> str:
    """Characters that stand for themselves, and those that clients may send raw or as escapes, which become escapes."""
    if any(character <= " " or character in "\x7f\\" for character in text):
        problems.append(
            (
                f"a path has no spaces, backslashes or control characters, got {quote(text)}",
                "write them percent-encoded: `%20`",
            )
        )
    if _PLAIN.fullmatch(text):
        return text
    return "".join(sign if _PLAIN.fullmatch(sign) else escaped(sign) for sign in text)


def escaped(sign: str) -> str:
    """A character as escapes of its UTF-8 bytes."""
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "replace"))
