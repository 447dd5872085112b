"""What counts as a failure of a service, as people write it: words for errors, statuses, and classes of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.check import Check
from tidegate.config.problem import Path, did_you_mean, quote

_STATUS = re.compile(r"[2-5]\d\d")
_CLASS = re.compile(r"([45])xx")


def _entries(value: object) -> object:
    if isinstance(value, str | int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise problem("wrong_type", f"expected a list such as `[timeout, 5xx]`, got {quote(value)}")
    for entry in value:
        if not isinstance(entry, str | int) or isinstance(entry, bool):
            raise problem("wrong_type", f"expected a word or a status, got {quote(entry)}")
    return [str(entry) for entry in value]


if TYPE_CHECKING:
    Failures: TypeAlias = Sequence[str | int] | str | int
else:
    Failures = Annotated[
        list[str],
        BeforeValidator(_entries),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
                    {"type": "string"},
                    {"type": "integer"},
                ],
                "title": "list of words and statuses",
            }
        ),
    ]


def parted(entries: Failures, words: Collection[str], check: Check, path: Path) -> tuple[set[str], list[list[int]]]:
    """The words of a list, and the first and last of each range of its statuses, in order."""
    assert isinstance(entries, list), "validation leaves lists"
    found: set[str] = set()
    statuses: set[tuple[int, int]] = set()
    for index, entry in enumerate(entries):
        if entry in words:
            found.add(entry)
        elif match := _CLASS.fullmatch(entry):
            statuses.add((int(match[1]) * 100, int(match[1]) * 100 + 99))
        elif _STATUS.fullmatch(entry):
            statuses.add((int(entry), int(entry)))
        else:
            known = ", ".join(f"`{word}`" for word in words)
            hint = did_you_mean(entry, words) or f"write one of {known}, a status such as `503`, or `5xx`"
            check.problem((*path, index), "bad_value", f"{quote(entry)} is no failure that is known", hint)
    return found, [list(status) for status in sorted(statuses)]
