"""Days and times of day, as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from tidegate.config.base import problem
from tidegate.config.problem import quote


def day(value: object) -> int:
    """Seconds since the Unix epoch of a day, which begins at midnight in UTC, or of a time with its offset."""
    wrong = problem("bad_value", f"expected a day such as `2026-03-01` or a time with its offset, got {quote(value)}")
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time(), UTC)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise wrong from None
        if len(value) == len("2026-03-01"):
            moment = moment.replace(tzinfo=UTC)
    else:
        raise wrong
    if moment.tzinfo is None:
        raise problem("bad_value", f"the time {quote(str(value))} has no offset", "write `Z` behind it for UTC")
    seconds = int(moment.timestamp())
    if seconds < 0:
        raise problem("bad_value", f"the day {quote(str(value))} is before 1970")
    return seconds


def show_day(value: int) -> str:
    """The shortest way to write a day or a time."""
    moment = datetime.fromtimestamp(value, UTC)
    return moment.date().isoformat() if value % 86_400 == 0 else moment.isoformat().replace("+00:00", "Z")


if TYPE_CHECKING:
    Day: TypeAlias = str | date | int
else:
    Day = Annotated[
        int,
        BeforeValidator(day),
        PlainSerializer(show_day, when_used="json"),
        WithJsonSchema({"type": "string", "title": "day or time"}),
    ]
