"""A store in PostgreSQL, by psycopg 3 (`pip install 'tidegate[postgres]'`)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.errors import StoreError
from tidegate.store.database import Row

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
LOCK = 0x7469_6465_6761_7465
"""The advisory lock of whoever changes tables: `tidegate` in ASCII."""


class Postgres:
    """A connection to a PostgreSQL server."""

    def __init__(self, url: str, shown: str) -> None:
        self.shown = shown
        driver = self._driver = _driver()
        with self._faults():
            try:
                self._connection: psycopg.Connection[Any] = driver.connect(
                    url,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS,
                    # Poolers between us and the server know nothing of prepared statements.
                    prepare_threshold=None,
                )
            except driver.ProgrammingError:
                # What the driver says of a URL that it cannot read may repeat a part of it.
                raise StoreError(f"{shown}: the driver cannot read this URL") from None

    def run(self, sql: str, *parameters: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        with self._faults():
            cursor = self._connection.execute(_translated(sql), parameters)
            return cursor.fetchall() if cursor.description else []

    def run_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Runs a statement once for each row of parameters."""
        with self._faults(), self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing; writers wait for each other at the row that numbers the changes."""
        with self._faults(), self._connection.transaction():
            yield

    def lock(self) -> None:
        """Inside of a transaction: waits until no other one that called this goes on."""
        self.run("SELECT pg_advisory_xact_lock(?)", LOCK)

    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""
        # Not `to_regclass`: inside of a transaction it may still not see what another one has just made.
        sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = ?"
        return bool(self.run(sql, name))

    def is_current(self) -> bool:
        """A server is what its URL names."""
        return True

    def abort(self) -> None:
        """Makes a call that waits in another thread fail now: whoever waits for the socket sees its end."""
        with (
            contextlib.suppress(OSError, self._driver.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as twin,
        ):
            twin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the connection; may be called again."""
        with contextlib.suppress(self._driver.Error):
            self._connection.close()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise StoreError(f"{self.shown}: {said}") from error


def _translated(sql: str) -> Any:
    return sql.replace("?", "%s")


def _driver() -> Any:
    try:
        import psycopg
    except ImportError:
        raise StoreError(
            "a store in PostgreSQL needs psycopg, which is not installed\n  hint: pip install 'tidegate[postgres]'"
        ) from None
    return psycopg
