"""Carries what quotas have counted to the store and back.

The engine counts; once a second what was added goes to the store, which adds it up for all gateways that write there,
and the totals come back. A crash therefore loses at most what was used since the last write, a second as a rule; a stop
in good order loses nothing. While the store cannot be reached the engine goes on counting, and everything is written
once it can.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from tidegate.errors import StoreError
from tidegate.store import usage
from tidegate.store.database import Database
from tidegate.store.opening import connect
from tidegate.store.schema import bring_up
from tidegate.store.url import StoreUrl
from tidegate.store.usage import Use

LOG = logging.getLogger("tidegate.quotas")

WRITE_SECONDS = 1.0
SWEEP_SECONDS = 3600.0
STOP_SECONDS = 5.0
"""Longest wait for a write that is under way when the gateway stops."""
_BATCH = 1000


class Counts(Protocol):
    """The engine's side; see `Engine` in `_native.pyi`."""

    def counts_quotas(self) -> bool:
        """Whether some quota is counted here and not in Redis."""
        ...

    def take_quota_changes(self) -> list[Use]:
        """What was used and is not written yet; whoever takes it writes it, or puts it back."""
        ...

    def put_back_quota_changes(self, changes: list[Use]) -> None:
        """What could not be written."""
        ...

    def settle_quotas(self, totals: list[Use]) -> None:
        """Totals as the store has them."""
        ...


class QuotaBook:
    """The quotas of one engine, in one store. `turn` and `close` block, and may be called from any thread."""

    def __init__(self, url: StoreUrl, counts: Counts, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self._counts = counts
        self._clock = clock
        self._database: Database | None = None
        self.loaded = False
        """Whether the totals of the store are known."""
        self._swept = 0.0
        self._closed = False
        self._fault: str | None = None
        self._turning = threading.Lock()

    async def run(self) -> None:
        """Writes once a second, until it is closed."""
        while not self._closed:
            await asyncio.to_thread(self.turn)
            await asyncio.sleep(WRITE_SECONDS)

    def turn(self) -> None:
        """Loads at first, and writes what was added since; a store that fails is tried again at the next turn."""
        with self._turning:
            if self._closed or not self._counts.counts_quotas():
                return
            try:
                self._write(self._open())
            except StoreError as error:
                self._drop()
                if self._fault is None:
                    reason = str(error).splitlines()[0]
                    LOG.warning('quotas cannot be written reason="%s"; counting goes on in memory', reason)
                self._fault = str(error)
            else:
                if self._fault is not None:
                    LOG.info("quotas are written again")
                self._fault = None

    def close(self) -> None:
        """Writes the rest, and ends the connection; a store that hangs is given a few seconds."""
        if not self._turning.acquire(timeout=STOP_SECONDS):
            database = self._database
            if database is not None:
                database.abort()
            self._turning.acquire()
        self._turning.release()
        self.turn()
        with self._turning:
            self._closed = True
            self._drop()

    def _open(self) -> Database:
        if self._database is None:
            self._database = connect(self.url)
            bring_up(self._database)
        if not self.loaded:
            for page in usage.running(self._database, int(self._clock())):
                self._counts.settle_quotas(page)
            self.loaded = True
        return self._database

    def _write(self, database: Database) -> None:
        changes = self._counts.take_quota_changes()
        while changes:
            batch, changes = changes[:_BATCH], changes[_BATCH:]
            try:
                totals = usage.add(database, batch)
            except BaseException:
                self._counts.put_back_quota_changes(batch + changes)
                raise
            self._counts.settle_quotas(totals)
        if self._clock() - self._swept > SWEEP_SECONDS:
            self._swept = self._clock()
            usage.forget(database, int(self._clock()))

    def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()
