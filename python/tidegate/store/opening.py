"""Opens a store of either kind."""

from __future__ import annotations

import time
from collections.abc import Callable

from tidegate.store.database import Database
from tidegate.store.keys import KeyStore
from tidegate.store.schema import bring_up
from tidegate.store.url import StoreUrl


def open_store(url: StoreUrl, *, create: bool = True, now: Callable[[], float] = time.time) -> KeyStore:
    """Connects, and brings the tables up to date; raises `StoreError`.

    Without `create`, a file that does not exist stays so.
    """
    database = connect(url, create=create)
    try:
        bring_up(database)
    except BaseException:
        database.close()
        raise
    return KeyStore(database, now)


def connect(url: StoreUrl, *, create: bool = True) -> Database:
    """A connection, whatever is behind it."""
    if url.path is not None:
        from tidegate.store.sqlite import Sqlite

        return Sqlite(url.path, url.shown, create=create)
    from tidegate.store.postgres import Postgres

    return Postgres(url.text, url.shown)
