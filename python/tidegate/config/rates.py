"""Rates as people write them: `100/1m`, `10/s`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.problem import Interpolated, quote
from tidegate.config.values import LONGEST_DURATION_MS, duration

UNLIMITED = "unlimited"
LARGEST_AMOUNT = 1_000_000_000
_RATE = re.compile(r"(\d{1,20}) ?(?:/|per) ?(\d+(?:\.\d+)?)? ?([a-z]+)")
_UNITS = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "day": "d"}
_EXAMPLE = "such as `100/1m`"


def rate(value: object) -> int | str:
    """A whole number, or `AMOUNT/WINDOW` in its shortest form."""
    if isinstance(value, Interpolated) and value.isdecimal():
        value = int(value[:20])
    if isinstance(value, int) and not isinstance(value, bool):
        return _amount(value)
    if not isinstance(value, str):
        raise problem("bad_rate", f"expected a rate {_EXAMPLE}, or a whole number, got {quote(value)}")
    match = _RATE.fullmatch(value)
    if match is None:
        hint = "write the number without quotes" if value.isdecimal() else None
        raise problem("bad_rate", f"expected a rate {_EXAMPLE}, got {quote(value)}", hint)
    unit = match[3].removesuffix("s") or "s"
    _amount(int(match[1]))
    window = f"{match[2] or '1'}{_UNITS.get(unit, match[3])}"
    duration(window)
    return f"{match[1]}/{window}"


def rate_or_unlimited(value: object) -> int | str:
    """As `rate`, or the word `unlimited`."""
    return UNLIMITED if value == UNLIMITED else rate(value)


def parts(value: int | str) -> tuple[int, int | None]:
    """Amount, and window in milliseconds where the rate names one."""
    if isinstance(value, int):
        return value, None
    amount, _, window = value.partition("/")
    return int(amount), duration(window)


def _amount(value: int) -> int:
    if not 1 <= value <= LARGEST_AMOUNT:
        raise problem("bad_rate", f"a limit must be at least 1 and at most {LARGEST_AMOUNT}")
    return value


assert LONGEST_DURATION_MS * 1000 < 1 << 44, "a window of the engine"

if TYPE_CHECKING:
    Rate: TypeAlias = int | str
    RateOrUnlimited: TypeAlias = int | str
else:
    _FORMS = [
        {"type": "string", "pattern": r"^[0-9]+ ?(/|per) ?([0-9]+(\.[0-9]+)?)? ?[a-z]+$"},
        {"type": "integer"},
    ]
    Rate = Annotated[int | str, BeforeValidator(rate), WithJsonSchema({"anyOf": _FORMS, "title": "rate"})]
    RateOrUnlimited = Annotated[
        int | str,
        BeforeValidator(rate_or_unlimited),
        WithJsonSchema({"anyOf": [*_FORMS, {"const": UNLIMITED}], "title": "rate or `unlimited`"}),
    ]
