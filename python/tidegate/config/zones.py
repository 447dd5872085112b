"""Time zones, as the engine takes them: how far they are ahead of UTC, from when on."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tidegate.config.problem import did_you_mean, quote

_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_LAST = datetime(2050, 1, 1, tzinfo=UTC)
"""The zone's last offset holds after it."""


def problem_of(name: str) -> tuple[str, str | None] | None:
    """What is wrong with a zone's name, and a hint; nothing when it is one."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # What is short is an abbreviation, and what looks like it is another zone.
        known = None if len(name) <= 4 else did_you_mean(name, zoneinfo.available_timezones())
        hint = known or "write `UTC` or `Europe/Berlin`, for example"
        return f"there is no time zone {quote(name)}", hint
    return None


@lru_cache(maxsize=64)
def planned(name: str) -> dict[str, Any]:
    """The offset at first, and every change of it: seconds since the epoch, and the new offset in seconds."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(at: datetime) -> int:
        shift = at.astimezone(zone).utcoffset() or timedelta()
        return int(shift.total_seconds())

    changes: list[list[int]] = []
    day, known = _FIRST, offset(_FIRST)
    first = known
    while day < _LAST:
        following = day + timedelta(days=1)
        if offset(following) != known:
            moment = _change(day, following, offset)
            known = offset(moment)
            changes.append([int(moment.timestamp()), known])
            following = max(moment, day + timedelta(seconds=1))
        day = following
    return {"first": first, "changes": changes}


def _change(before: datetime, after: datetime, offset: Any) -> datetime:
    """The first second with another offset than `before`."""
    low, high = int(before.timestamp()), int(after.timestamp())
    old = offset(before)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(datetime.fromtimestamp(middle, UTC)) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
