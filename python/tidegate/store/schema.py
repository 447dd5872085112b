"""The tables of a store. Its version is a number, and every older one can be brought up to the newest.

Changes are numbered: each transaction that writes takes the next number first, which makes writers wait for each
other, and marks with it the rows that it touches. Whoever has seen number n therefore has everything up to n when it
asks for the rows with a higher one; a plain sequence would let a lower number become visible after a higher one.
"""

from __future__ import annotations

import secrets

from tidegate.errors import StoreError
from tidegate.store.database import Database

_FIRST = (
    """
    CREATE TABLE tidegate_store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        identity TEXT NOT NULL,
        version INTEGER NOT NULL,
        change BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE tidegate_consumers (
        name TEXT PRIMARY KEY,
        tier TEXT,
        tags TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE tidegate_keys (
        id TEXT PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        hint TEXT NOT NULL,
        consumer TEXT NOT NULL REFERENCES tidegate_consumers (name),
        name TEXT NOT NULL,
        created BIGINT NOT NULL,
        expires BIGINT,
        revoked BIGINT,
        replaced_by TEXT,
        change BIGINT NOT NULL
    )
    """,
    "CREATE INDEX tidegate_keys_by_change ON tidegate_keys (change, id)",
    "CREATE INDEX tidegate_keys_by_consumer ON tidegate_keys (consumer)",
)

_USAGE = (
    """
    CREATE TABLE tidegate_usage (
        quota_key TEXT NOT NULL,
        period_start BIGINT NOT NULL,
        period_end BIGINT NOT NULL,
        used BIGINT NOT NULL,
        PRIMARY KEY (quota_key, period_start)
    )
    """,
    "CREATE INDEX tidegate_usage_by_end ON tidegate_usage (period_end)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _USAGE)
"""What leads from each version to the next; an empty database has version 0."""


def bring_up(database: Database, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Makes the tables, or brings older ones up to date; does not write when there is nothing to do."""
    newest = len(migrations)
    if _version(database) == newest:
        return
    with database.transaction():
        # Two gateways that find the same empty database make its tables once.
        database.lock()
        version = _version(database)
        if version > newest:
            raise StoreError(
                f"{database.shown}: made by a later version of Tidegate (schema {version}, known is {newest})"
                "\n  hint: install that version or a later one"
            )
        for statements in migrations[version:]:
            for statement in statements:
                database.run(statement)
        if version == 0:
            database.run("INSERT INTO tidegate_store VALUES (1, ?, ?, 0)", secrets.token_hex(16), newest)
        elif version < newest:
            database.run("UPDATE tidegate_store SET version = ?", newest)


def _version(database: Database) -> int:
    if not database.has_table("tidegate_store"):
        return 0
    return int(database.run("SELECT version FROM tidegate_store")[0][0])
