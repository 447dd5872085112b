"""Consumers and keys in a store."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tidegate.errors import StoreError
from tidegate.store import secret as secrets_of_keys
from tidegate.store.database import Database, Row

LOG = logging.getLogger("tidegate.store")

PAGE = 5000
"""Rows that are read at once."""

State = Literal["active", "expired", "revoked"]

_NAME = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")
_ID_SIGNS = "0123456789abcdefghjkmnpqrstvwxyz"
_COLUMNS = "id, consumer, name, hint, created, expires, revoked, replaced_by"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the store knows it. Times are Unix seconds."""

    id: str
    consumer: str
    name: str
    hint: str
    created: int
    expires: int | None
    revoked: int | None
    replaced_by: str | None

    def state(self, now: float) -> State:
        """Whether it opens anything."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


@dataclass(frozen=True, slots=True)
class Imported:
    """A key that was made elsewhere: the consumer's, as it is or as its SHA-256."""

    consumer: str
    hash: str
    hint: str
    name: str = ""
    expires: int | None = None
    tier: str | None = None


class Mark(NamedTuple):
    """How far a store has come: which one it is, and the number of its last change."""

    identity: str
    change: int


class Cursor(NamedTuple):
    """A place in the order of changes."""

    change: int
    id: str

    @classmethod
    def after(cls, change: int) -> Cursor:
        """Before the first row that was changed later than that."""
        return cls(change + 1, "")


Entry = tuple[str, str, str, str, str | None, list[str], int | None, bool]
"""What the engine's table holds of a key: hash, id, name, consumer, its tier and tags, expiry, revoked."""


class KeyStore:
    """One store, by one connection; calls come one after another, each may raise `StoreError`."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self.database = database
        self._now = now

    def close(self) -> None:
        """Ends the connection."""
        self.database.close()

    # ---- for people

    def create(
        self,
        consumer: str,
        *,
        name: str = "",
        expires: int | None = None,
        prefix: str = secrets_of_keys.DEFAULT_PREFIX,
        tier: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> tuple[Key, str]:
        """Makes a key; the second part is the key itself, which nobody can ask for again."""
        check_name(consumer, "a consumer")
        with self.database.transaction():
            change = self._next_change()
            self._keep_consumer(consumer, tier, tags, change)
            return self._insert(consumer, name, expires, prefix, change)

    def rotate(self, key_id: str, *, overlap: int, expires: int | None = None) -> tuple[Key, str]:
        """Makes a successor of an active key, which itself goes on for `overlap` seconds.

        Unless told otherwise, the new one lives as long as the old one was made for.
        """
        now = int(self._now())
        with self.database.transaction():
            change = self._next_change()
            old = self.key(key_id)
            if (state := old.state(now)) != "active":
                raise StoreError(f"the key `{key_id}` is {state}\n  hint: make a new one with `tidegate keys create`")
            if old.replaced_by is not None:
                raise StoreError(f"the key `{key_id}` was rotated already, to `{old.replaced_by}`")
            if expires is None and old.expires is not None:
                expires = now + old.expires - old.created
            new, secret = self._insert(old.consumer, old.name, expires, _prefix(old.hint), change)
            end = now + overlap if old.expires is None else min(now + overlap, old.expires)
            self.database.run(
                "UPDATE tidegate_keys SET expires = ?, replaced_by = ?, change = ? WHERE id = ?",
                end,
                new.id,
                change,
                key_id,
            )
        return new, secret

    def revoke(self, key_ids: Iterable[str]) -> list[Key]:
        """Ends keys at once; those that were revoked before stay as they are. Returns all of them."""
        with self.database.transaction():
            change = self._next_change()
            keys = [self.key(key_id) for key_id in key_ids]
            for key in keys:
                self.database.run(
                    "UPDATE tidegate_keys SET revoked = ?, change = ? WHERE id = ? AND revoked IS NULL",
                    int(self._now()),
                    change,
                    key.id,
                )
            return [self.key(key.id) for key in keys]

    def import_keys(self, keys: Sequence[Imported]) -> int:
        """Takes keys that were made elsewhere; those that are there already stay as they are. Returns how many are new.

        All of them, or none.
        """
        created = int(self._now())
        with self.database.transaction():
            change = self._next_change()
            before = self.count()
            consumers = {key.consumer: key.tier for key in keys}
            for key in keys:
                consumers[key.consumer] = key.tier or consumers[key.consumer]
            for consumer, tier in consumers.items():
                check_name(consumer, "a consumer")
                self._keep_consumer(consumer, tier, None, change)
            self.database.run_many(
                "INSERT INTO tidegate_keys (id, hash, hint, consumer, name, created, expires, change)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
                [(_new_id(), key.hash, key.hint, key.consumer, key.name, created, key.expires, change) for key in keys],
            )
            return self.count() - before

    def key(self, key_id: str) -> Key:
        """A key by its id."""
        rows = self.database.run(f"SELECT {_COLUMNS} FROM tidegate_keys WHERE id = ?", key_id)
        if not rows:
            raise StoreError(f"there is no key `{key_id}`\n  hint: `tidegate keys list` shows the ids")
        return Key(*rows[0])

    def find(self, secret: str) -> Key:
        """The key that a text is."""
        digest = secrets_of_keys.digest(secret)
        rows = self.database.run(f"SELECT {_COLUMNS} FROM tidegate_keys WHERE hash = ?", digest)
        if not rows:
            raise StoreError("the store knows no such key")
        return Key(*rows[0])

    def list_keys(self, consumer: str | None = None) -> list[Key]:
        """Keys by consumer and age."""
        where, parameters = ("", ()) if consumer is None else ("WHERE consumer = ? ", (consumer,))
        sql = f"SELECT {_COLUMNS} FROM tidegate_keys {where}ORDER BY consumer, created, id"
        return [Key(*row) for row in self.database.run(sql, *parameters)]

    # ---- for gateways

    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(*self.database.run("SELECT identity, change FROM tidegate_store")[0])

    def count(self) -> int:
        """How many keys there are, of any state."""
        return int(self.database.run("SELECT count(*) FROM tidegate_keys")[0][0])

    def changed(self, cursor: Cursor, limit: int = PAGE) -> tuple[list[Entry], Cursor | None]:
        """A page of keys in the order of their changes, and where the next one begins, if there may be one."""
        rows = self.database.run(
            "SELECT k.hash, k.id, k.name, k.consumer, c.tier, c.tags, k.expires, k.revoked, k.change"
            " FROM tidegate_keys k JOIN tidegate_consumers c ON c.name = k.consumer"
            " WHERE (k.change, k.id) > (?, ?) ORDER BY k.change, k.id LIMIT ?",
            cursor.change,
            cursor.id,
            limit,
        )
        entries = [entry for row in rows if (entry := _entry(row)) is not None]
        return entries, Cursor(rows[-1][8], rows[-1][1]) if len(rows) == limit else None

    # ---- parts

    def _next_change(self) -> int:
        """The number of this transaction; see `schema`."""
        self.database.run("UPDATE tidegate_store SET change = change + 1")
        return self.mark().change

    def _keep_consumer(self, name: str, tier: str | None, tags: Sequence[str] | None, change: int) -> None:
        """Makes a consumer, or gives a known one what is new about it."""
        self.database.run(
            "INSERT INTO tidegate_consumers (name, tier, tags) VALUES (?, NULL, '[]') ON CONFLICT (name) DO NOTHING",
            name,
        )
        if tier is not None:
            self.database.run("UPDATE tidegate_consumers SET tier = ? WHERE name = ?", tier, name)
        if tags is not None:
            text = json.dumps(list(tags), ensure_ascii=False)
            self.database.run("UPDATE tidegate_consumers SET tags = ? WHERE name = ?", text, name)
        if tier is not None or tags is not None:
            self.database.run("UPDATE tidegate_keys SET change = ? WHERE consumer = ?", change, name)

    def _insert(self, consumer: str, name: str, expires: int | None, prefix: str, change: int) -> tuple[Key, str]:
        secret = secrets_of_keys.new_secret(prefix)
        created = int(self._now())
        key = Key(_new_id(), consumer, name, secrets_of_keys.hint(secret), created, expires, None, None)
        self.database.run(
            "INSERT INTO tidegate_keys (id, hash, hint, consumer, name, created, expires, change)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            key.id,
            secrets_of_keys.digest(secret),
            key.hint,
            consumer,
            name,
            created,
            expires,
            change,
        )
        return key, secret


def _entry(row: Row) -> Entry | None:
    """A row as the engine takes it. One that somebody has spoilt by hand must not hold up all others."""
    digest, key_id, name, consumer, tier, tags, expires, revoked, _ = row
    if secrets_of_keys.written_digest(digest) != digest:
        LOG.error("key skipped, its hash is none id=%s", key_id)
        return None
    try:
        labels = [str(tag) for tag in json.loads(tags)]
    except (ValueError, TypeError):
        labels = []
    until = None if expires is None else max(expires, 0)
    return digest, key_id, name, consumer, tier, labels, until, revoked is not None


def check_name(name: str, what: str) -> None:
    """Raises unless it can stand in a header and in a log."""
    if len(name) > 128 or not _NAME.fullmatch(name):
        raise StoreError(f"the name of {what} has 1 to 128 characters, no control characters and no blanks at its ends")


def _prefix(hint: str) -> str:
    """The prefix of the key that a hint stands for; an imported key, whose hint is short, gets one of our form."""
    shown = hint.removesuffix("...")
    prefix = shown.rpartition("_")[0]
    return prefix if len(shown) > 4 and secrets_of_keys.is_prefix(prefix) else secrets_of_keys.DEFAULT_PREFIX


def _new_id() -> str:
    return "".join(secrets.choice(_ID_SIGNS) for _ in range(12))
