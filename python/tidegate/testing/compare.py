"""Says in words how something differs from what was expected; shared by the helpers of tests and `tidegate test`."""

from __future__ import annotations

import json as codec
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tidegate.config.problem import Path, render_path

if TYPE_CHECKING:
    from tidegate.testing.answer import Answer
    from tidegate.testing.message import Message


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
"""Nothing was said about it; `None` is JSON's null."""


def differences(
    answer: Answer,
    *,
    status: int | None,
    json: Any,
    text: str | None,
    code: str | None,
    headers: Mapping[str, str | None] | None,
) -> list[str]:
    """Everything about an answer that is not as it was expected."""
    found = []
    if status is not None and answer.status != status:
        found.append(f"expected status {status}, got {answer.status}")
    if code is not None and (got := problem_code(answer)) != code:
        found.append(f"expected the code `{code}`, got {f'`{got}`' if got else 'no problem document'}")
    found += of_headers(answer, headers or {})
    if text is not None and answer.body != text.encode():
        found.append(f"expected the body {text!r}, got {answer.body[:200].decode('utf-8', 'replace')!r}")
    if json is not MISSING:
        found += of_json(answer, json)
    return found


def problem_code(answer: Answer) -> str | None:
    """The `code` of a problem document; `None` when it is none."""
    if answer.headers.get("content-type") != "application/problem+json":
        return None
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return None


def of_headers(message: Message, expected: Mapping[str, str | None]) -> list[str]:
    """What is different about headers: a value, `~` and a regular expression, or `None` for none at all."""
    return [what for _, what in of_headers_by_name(message, expected)]


def of_headers_by_name(message: Message, expected: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """The same, and of which header."""
    found = []
    for name, value in expected.items():
        values = message.headers.all(name)
        if value is None and values:
            found.append((name, f"expected no header `{name}`, got {_list(values)}"))
        elif value is not None and not any(matches(value, one) for one in values):
            found.append((name, f"expected the header `{name}: {value}`, got {_list(values) if values else 'none'}"))
    return found


def of_json(message: Message, expected: Any) -> list[str]:
    """What is different about a body of JSON."""
    return [f"{render_path(path) or 'the body'}: {what}" for path, what in of_json_by_path(message, expected)]


def of_json_by_path(message: Message, expected: Any, *, exactly: bool = False) -> list[tuple[Path, str]]:
    """The same, and where in the body."""
    try:
        got = message.json()
    except ValueError:
        return [((), f"expected JSON, got {message.body[:200].decode('utf-8', 'replace')!r}")]
    return list(unlike(expected, got, exactly=exactly))


def unlike(expected: Any, got: Any, path: Path = (), *, exactly: bool = False) -> Iterator[tuple[Path, str]]:
    """Where two JSON values differ. Members that are not expected may be there, unless `exactly`; lists are whole."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for name, value in expected.items():
            if name not in got:
                yield (*path, str(name)), f"expected {shown(value)}, got nothing"
            else:
                yield from unlike(value, got[name], (*path, str(name)), exactly=exactly)
        for name in got.keys() - expected.keys() if exactly else ():
            yield (*path, str(name)), f"expected nothing, got {shown(got[name])}"
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, pair in enumerate(zip(expected, got, strict=True)):
            yield from unlike(*pair, (*path, index), exactly=exactly)
    elif not _equal(expected, got):
        yield path, f"expected {shown(expected)}, got {shown(got)}"


def _equal(expected: Any, got: Any) -> bool:
    if isinstance(expected, str) and isinstance(got, str):
        return matches(expected, got)
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    return bool(expected == got)


def matches(expected: str, got: str) -> bool:
    """Whether a text is as expected: the same, or by a regular expression after `~`."""
    if expected.startswith("~"):
        return re.search(expected[1:], got) is not None
    return expected == got


def shown(value: Any) -> str:
    """A value as a message shows it."""
    if value is MISSING:
        return "nothing"
    text = codec.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _list(values: list[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
