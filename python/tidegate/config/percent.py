"""Shares as people write them: `10%`, `0.5%`, `10`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.problem import Interpolated, quote

WHOLE = 10_000
"""All, in the parts that shares are kept in: hundredths of a percent."""
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?) ?%")
_BARE = re.compile(r"\d{1,3}(?:\.\d{1,2})?")


class Share(int):
    """Parts of `WHOLE`; a bare number that is given anew is percent."""


def percent(value: object) -> Share:
    """Hundredths of a percent of `10%`, or of a bare number of percent."""
    if isinstance(value, Share):
        return value
    if isinstance(value, Interpolated) and _BARE.fullmatch(value):
        value = float(value)
    elif isinstance(value, str):
        match = _PERCENT.fullmatch(value)
        if match is None:
            hint = f"write `{value}%`" if _BARE.fullmatch(value) else None
            raise problem("bad_value", f"expected a percentage such as `10%`, got {quote(value)}", hint)
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem("bad_value", f"expected a percentage such as `10%`, got {quote(value)}")
    parts = round(value * 100) if 0 <= value <= 100 else -1
    if parts < 0 or abs(parts - value * 100) > 1e-6:
        raise problem("bad_value", "a percentage is 0 to 100, with at most two places")
    return Share(parts)


def show_percent(value: int) -> str:
    """As people write it."""
    return f"{value / 100:g}%"


if TYPE_CHECKING:
    Percent: TypeAlias = int | float | str
else:
    Percent = Annotated[
        int,
        BeforeValidator(percent),
        PlainSerializer(show_percent, when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})? ?%$"}, {"type": "number"}],
                "title": "percentage",
            }
        ),
    ]
