"""Carries what quotas have counted to the store and back.

The engine counts; once a second what was added goes to the store, which adds it up for all gateways that write there,
and the totals come back. A crash therefore loses at most what was used since the last write, a second as a rule; a stop
in good order loses nothing. While the store cannot be reached the engine goes on counting, and everything is written
once it can.

What the store has is read before the first request is decided: requests that come earlier wait for it in the engine.
A store that cannot be read, or hangs, is not waited for; then `on_store_failure` of the policy holds until it is.
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
FORGET_SECONDS = 3600.0
"""Between two looks for periods in the store that ended long ago."""
SWEEP_SECONDS = 60.0
"""Between two looks for periods in the engine's memory that are over."""
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

    def quota_totals_came(self, known: bool) -> None:
        """The store was read, or could not be."""
        ...

    def sweep_quotas(self) -> None:
        """Lets go of periods that are over."""
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
        self.fault: str | None = None
        """Why the store does not answer; `None` while it does."""
        self._forgot = 0.0
        self._swept = 0.0
        self._closed = False
        self._tried = threading.Event()
        self._turning = threading.Lock()

    async def run(self) -> None:
        """Writes once a second, until it is closed."""
        while not self._closed:
            await asyncio.to_thread(self.turn)
            await asyncio.sleep(WRITE_SECONDS)

    def wait(self, seconds: float) -> None:
        """Waits until the totals are known, or it is known that they cannot be; called from another thread."""
        self._tried.wait(seconds)

    def turn(self) -> None:
        """Loads at first, and writes what was added since; a store that fails is tried again at the next turn."""
        with self._turning:
            self._sweep()
            if self._closed or not self._counts.counts_quotas():
                return
            try:
                self._write(self._open())
            except StoreError as error:
                self._drop()
                self._counts.quota_totals_came(self.loaded)
                if self.fault is None:
                    reason = str(error).splitlines()[0]
                    LOG.warning('quotas cannot be written reason="%s"; counting goes on in memory', reason)
                self.fault = str(error)
            else:
                if self.fault is not None:
                    LOG.info("quotas are written again")
                self.fault = None
            self._tried.set()

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
            self._counts.quota_totals_came(True)
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
        if self._clock() - self._forgot > FORGET_SECONDS:
            self._forgot = self._clock()
            usage.forget(database, int(self._clock()))

    def _sweep(self) -> None:
        if self._clock() - self._swept > SWEEP_SECONDS:
            self._swept = self._clock()
            self._counts.sweep_quotas()

    def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()
