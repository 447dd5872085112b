"""A store in a file, by the SQLite that Python brings."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tidegate.errors import StoreError
from tidegate.store.database import Row

BUSY_SECONDS = 2.0
"""Longest wait for another process that writes."""


class Sqlite:
    """A connection to a file, in WAL mode: gateways read while a command writes."""

    def __init__(self, path: Path, shown: str, *, create: bool) -> None:
        self.shown = shown
        self._path = path
        if create:
            _make_private(path, shown)
        self._file = _identity(path)
        if self._file is None:
            raise StoreError(f"{shown}: no such file\n  hint: `tidegate keys create` makes it")
        with self._faults():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA foreign_keys = ON")
                if create:
                    self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.Error:
                self._connection.close()
                raise

    def run(self, sql: str, *parameters: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        with self._faults():
            return self._connection.execute(sql, parameters).fetchall()

    def run_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Runs a statement once for each row of parameters."""
        with self._faults():
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing; writers come one after another from the beginning."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with contextlib.suppress(StoreError):
                self.run("ROLLBACK")
            raise

    def lock(self) -> None:
        """A transaction is the only one anyway."""

    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""
        return bool(self.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name))

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened: a removed one would be read on and on."""
        return _identity(self._path) == self._file

    def abort(self) -> None:
        """Makes a call that waits in another thread fail now."""
        self._connection.interrupt()

    def close(self) -> None:
        """Ends the connection; may be called again."""
        self._connection.close()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.shown}: {error}") from error


def _make_private(path: Path, shown: str) -> None:
    """Makes the file for its owner only, before SQLite would make it for everybody; its side files take after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{shown}: {(error.strerror or str(error)).lower()}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
