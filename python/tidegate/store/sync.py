"""Keeps the engine's table of keys equal to a store.

A poll asks for one row: the number of the last change. Only when it has moved are keys read, and only those that
changed; so polls are cheap enough to come several times a second, and a revocation acts within one.

While a store cannot be reached, the keys that are known go on serving, and the log, the metrics and `/readyz` say so.
A gateway that never reached its store knows nothing of keys: it answers 503 to callers that come with one and is not
ready.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

from tidegate.errors import StoreError
from tidegate.store.keys import Cursor, Entry, KeyStore, Mark
from tidegate.store.opening import open_store
from tidegate.store.url import StoreUrl

LOG = logging.getLogger("tidegate.store")

PATIENCE = 2.0
"""Seconds that a store may take for one answer."""
RECOUNT = 60.0
"""Seconds between counts, which find what nobody numbered: rows that were deleted by hand."""
LONGEST_PAUSE = 1.0
"""Seconds between attempts while the store cannot be reached."""

T = TypeVar("T")


class Table(Protocol):
    """The engine's side; see `Engine` in `_native.pyi`."""

    def put_keys(self, entries: list[Entry], *, whole: bool) -> None:
        """Adds keys, to the table or to the whole load, in place of those with the same hash."""
        ...

    def begin_whole_load(self) -> None:
        """Begins a load of the whole store, beside the table that serves."""
        ...

    def end_whole_load(self) -> None:
        """Puts what was loaded in place of the table; from now on unknown keys are refused."""
        ...

    def count_keys(self) -> int:
        """How many keys are in the table, of any state."""
        ...

    def key_store_answers(self, answers: bool) -> None:
        """For the metrics: whether the store could be reached."""
        ...


class KeySync:
    """Follows one store until it is cancelled."""

    def __init__(self, url: StoreUrl, table: Table, poll: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self.loaded = False
        """Whether the table was ever equal to the store."""
        self.fault: str | None = None
        """Why the store does not answer; `None` while it does."""
        self._table = table
        self._poll = poll
        self._clock = clock
        self._answered = clock()
        self._counted = 0.0
        self._store: KeyStore | None = None
        self._mark: Mark | None = None
        # One thread, so that the connection is used by one call at a time; a store that hangs holds up nothing else.
        self._thread = ThreadPoolExecutor(1, "tidegate-store")
        self._first = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def follows(self, url: StoreUrl, poll: float) -> bool:
        """Whether it does what these ask for."""
        return (self.url, self._poll) == (url, poll)

    def wait(self, seconds: float) -> None:
        """Waits until the table is loaded, or it is known that it cannot be; called from another thread."""
        self._first.wait(seconds)

    def stop(self) -> None:
        """Ends the following; callable from any thread."""
        self._stopped = True
        if (task := self._task) is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)

    def state(self) -> dict[str, object]:
        """For `/readyz`."""
        if self.fault is None:
            return {"state": "current" if self.loaded else "loading", "store": self.url.shown}
        age = round(self._clock() - self._answered, 1)
        return {
            "state": "stale" if self.loaded else "unknown",
            "store": self.url.shown,
            "reason": self.fault,
            "seconds": age,
        }

    async def run(self) -> None:
        """Polls and applies, until it is stopped or cancelled."""
        self._task = asyncio.current_task()
        try:
            while not self._stopped:
                await self._turn()
                self._first.set()
                pause = self._poll if self.fault is None else max(self._poll, LONGEST_PAUSE)
                await asyncio.sleep(pause * random.uniform(0.8, 1.0))
        finally:
            self._abort()
            self._drop()
            self._thread.shutdown(wait=False)

    async def _turn(self) -> None:
        try:
            await self._follow()
        except StoreError as error:
            self._lost(str(error).splitlines()[0])
        except Exception as error:
            # A fault of ours or of a driver must not end the following: keys that were revoked would live on.
            LOG.exception("key store cannot be followed")
            self._lost(f"{type(error).__name__}")
        else:
            self._found()

    async def _follow(self) -> None:
        store = self._store
        if store is not None and not store.database.is_current():
            self._drop()
            store = None
        if store is None:
            # An empty file that takes the place of a lost one would be a store without keys: it is made only at first.
            store = await self._call(lambda: open_store(self.url, create=self._mark is None))
            self._store = store
        mark = await self._call(store.mark)
        known = self._mark
        if known is None or mark.identity != known.identity or mark.change < known.change or await self._differs(store):
            # Another store, or one that was put back to an earlier state: what is known of it says nothing.
            self._table.begin_whole_load()
            await self._read(store, Cursor.after(-1), whole=True)
            self._table.end_whole_load()
            self._counted = self._clock()
        elif mark.change > known.change:
            await self._read(store, Cursor.after(known.change), whole=False)
        self._mark = mark

    async def _differs(self, store: KeyStore) -> bool:
        """Whether keys were deleted, which leaves no number behind; looked at once a minute."""
        if self._clock() - self._counted < RECOUNT:
            return False
        self._counted = self._clock()
        return await self._call(store.count) < self._table.count_keys()

    async def _read(self, store: KeyStore, cursor: Cursor | None, *, whole: bool) -> None:
        while cursor is not None:
            entries, cursor = await self._call(partial(store.changed, cursor))
            if entries:
                self._table.put_keys(entries, whole=whole)

    async def _call(self, function: Callable[[], T]) -> T:
        """Runs a call to the store on its thread; one that takes too long is made to fail."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, function)
        done, _ = await asyncio.wait([running], timeout=PATIENCE)
        if not done:
            self._abort()
            done, _ = await asyncio.wait([running], timeout=PATIENCE)
        if not done:
            # It cannot be made to fail: a connection that is just being opened ends by its own limit.
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = ThreadPoolExecutor(1, "tidegate-store")
            running.add_done_callback(_close_late)
            raise StoreError(f"{self.url.shown}: no answer within {PATIENCE * 2:.0f}s")
        return running.result()

    def _abort(self) -> None:
        if self._store is not None:
            self._store.database.abort()

    def _drop(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            self._thread.submit(store.close)

    def _lost(self, reason: str) -> None:
        self._drop()
        if self.fault is None:
            serving = "the keys that are known go on serving" if self.loaded else "no key is known yet"
            LOG.warning('key store unreachable reason="%s"; %s', reason, serving)
            self._answered = self._clock()
        self.fault = reason
        self._table.key_store_answers(False)

    def _found(self) -> None:
        if self.fault is not None:
            LOG.info("key store answers again after_s=%.1f", self._clock() - self._answered)
        elif not self.loaded:
            LOG.info("keys loaded count=%d", self._table.count_keys())
        self.fault = None
        self.loaded = True
        self._answered = self._clock()
        self._table.key_store_answers(True)


def _close_late(running: asyncio.Future[Any]) -> None:
    """Closes what opened after nobody waited for it any more."""
    if not running.cancelled() and running.exception() is None and isinstance(store := running.result(), KeyStore):
        store.close()
