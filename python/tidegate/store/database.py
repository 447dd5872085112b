"""What the two databases have in common: SQL with `?`, transactions, and an end to waiting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Database(Protocol):
    """One connection. Every fault of it is a `StoreError`; after one it is closed and another is opened."""

    shown: str
    """Where it is, for messages."""

    def run(self, sql: str, *parameters: object) -> list[Row]:
        """Runs a statement; its rows, if it has any."""
        ...

    def run_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Runs a statement once for each row of parameters."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside happens, or nothing; one writer at a time comes as far as its first change."""
        ...

    def lock(self) -> None:
        """Inside of a transaction: waits until no other one that called this goes on."""
        ...

    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""
        ...

    def is_current(self) -> bool:
        """Whether it is still what its URL names: a file may have been put in its place."""
        ...

    def abort(self) -> None:
        """Makes a call that waits in another thread fail now."""
        ...

    def close(self) -> None:
        """Ends the connection; may be called again."""
        ...
