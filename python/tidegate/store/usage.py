"""What callers have used of their quotas, in the store: totals of all gateways that write to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.store.database import Database

Use = tuple[str, int, int, int]
"""A key (32 hexadecimal digits), the period's begin and end (seconds since the epoch), and how much."""

KEPT_SECONDS = 62 * 86_400
"""Periods stay that long after their end, for whoever wants to look."""
_PAGE = 10_000

_ADD = """
    INSERT INTO tidegate_usage (quota_key, period_start, period_end, used) VALUES (?, ?, ?, ?)
    ON CONFLICT (quota_key, period_start) DO UPDATE SET used = tidegate_usage.used + excluded.used
    RETURNING used
"""


def add(database: Database, changes: Sequence[Use]) -> list[Use]:
    """Adds what was used, and returns the totals of the same keys."""
    totals: list[Use] = []
    with database.transaction():
        # In one order, so that two gateways do not wait for each other's rows.
        for key, start, end, amount in sorted(changes):
            rows = database.run(_ADD, key, start, end, amount)
            totals.append((key, start, end, int(rows[0][0])))
    return totals


def running(database: Database, now: int) -> Iterator[list[Use]]:
    """The totals of all periods that are not over, in pages."""
    sql = (
        "SELECT quota_key, period_start, period_end, used FROM tidegate_usage "
        "WHERE period_end > ? AND (quota_key > ? OR (quota_key = ? AND period_start > ?)) "
        f"ORDER BY quota_key, period_start LIMIT {_PAGE}"
    )
    key, start = "", -1
    while rows := database.run(sql, now, key, key, start):
        yield [(str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in rows]
        key, start = str(rows[-1][0]), int(rows[-1][1])


def forget(database: Database, now: int) -> None:
    """Removes what ended long ago."""
    database.run("DELETE FROM tidegate_usage WHERE period_end < ?", now - KEPT_SECONDS)
