"""Keeps the engine's key sets fresh.

One task a source: it fetches at start, again when the keys have aged, and when requests wait for a key that is not
there. The engine decides what a request may wish for (`crates/engine/src/key_sets.rs`), so that a flood of unknown keys
is one fetch; here it is decided when to fetch without a wish.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import ssl
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any, Protocol

from tidegate.identity.discovery import keys_url
from tidegate.identity.fetch import FetchError, fetch, trust

if TYPE_CHECKING:
    from tidegate.serve.background import Background

LOG = logging.getLogger("tidegate.identity")

RETRY_FIRST, RETRY_MOST = 1.0, 60.0
"""Seconds before a failed fetch is tried again: twice as long each time."""
JITTER = 0.8, 1.0
"""Of every pause, so that the gateways of a fleet do not come to the issuer together."""


class Engine(Protocol):
    """What is asked of the engine; see `_native.pyi`."""

    def key_sources(self) -> list[tuple[int, str]]: ...
    def key_wishes_descriptor(self) -> int: ...
    def key_wishes(self) -> list[int]: ...
    def keys_arrived(self, source: int, jwks: bytes) -> tuple[int, list[str]]: ...
    def provider_described(self, source: int, document: bytes) -> None: ...
    def keys_failed(self, source: int) -> None: ...


class KeySources:
    """The tasks that fetch, one for each source that the running document has."""

    def __init__(self, engine: Engine, background: Background) -> None:
        self._engine = engine
        self._background = background
        self._watching = False
        self._sources: dict[int, tuple[Source, asyncio.Task[None]]] = {}

    def reconcile(self) -> None:
        """Begins with sources that are new and ends with those that are gone; called after every change."""
        if self._watching or self._engine.key_sources():
            self._watching = True
            self._background.loop.call_soon_threadsafe(self._reconcile)

    def _reconcile(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._engine.key_wishes_descriptor(), self._wished)
        found = dict(self._engine.key_sources())
        for number in self._sources.keys() - found.keys():
            self._sources.pop(number)[1].cancel()
        for number in found.keys() - self._sources.keys():
            source = Source(self._engine, number, Settings(**json.loads(found[number])))
            task = loop.create_task(source.run(), name=f"keys {source.settings.url}")
            task.add_done_callback(_ended)
            self._sources[number] = source, task
        self._wished()

    def _wished(self) -> None:
        for number in self._engine.key_wishes():
            if known := self._sources.get(number):
                known[0].wished.set()


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.error("keys are not fetched any more work=%s", task.get_name(), exc_info=error)


@dataclass(frozen=True)
class Settings:
    """A source as the plan has it: `RemoteKeys` in `crates/engine/src/plan/jwt.rs`."""

    url: str
    discovery: bool
    issuer: str | None
    ca: str | None
    refresh_ms: int
    cool_down_ms: int
    max_stale_ms: int
    timeout_ms: int
    lazy: bool


class Source:
    """One place that keys are fetched from."""

    def __init__(self, engine: Engine, number: int, settings: Settings) -> None:
        self._engine = engine
        self._number = number
        self.settings = settings
        self.wished = asyncio.Event()
        self._told: Any = None

    async def run(self) -> None:
        """Fetches until it is cancelled."""
        failures = 0
        if self.settings.lazy:
            await self.wished.wait()
        while True:
            self.wished.clear()
            try:
                pause = await self._refresh()
                failures = 0
            except FetchError as error:
                self._engine.keys_failed(self._number)
                failures += 1
                pause = min(RETRY_FIRST * 2 ** min(failures - 1, 10), RETRY_MOST)
                self._tell(logging.WARNING, "keys not fetched url=%s reason=%r", self.settings.url, str(error))
            try:
                async with asyncio.timeout(pause * random.uniform(*JITTER)):
                    await self.wished.wait()
            except TimeoutError:
                pass

    async def _refresh(self) -> float:
        """Fetches once; returns the seconds for which the keys are fresh."""
        settings = self.settings
        seconds = settings.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds):
                headers, body = await self._fetch(_trust(settings.ca), seconds)
        except TimeoutError:
            raise FetchError(f"timed out after {seconds:g}s") from None
        try:
            count, unused = self._engine.keys_arrived(self._number, body)
        except ValueError as error:
            raise FetchError(str(error)) from None
        level = logging.INFO if count and not unused else logging.WARNING
        self._tell(level, "keys fetched url=%s usable=%d unused=%r", settings.url, count, unused[:8])
        return fresh_for(headers, settings.refresh_ms / 1000, settings.cool_down_ms / 1000)

    async def _fetch(self, context: ssl.SSLContext, seconds: float) -> tuple[Message, bytes]:
        url = self.settings.url
        if self.settings.discovery:
            described = await fetch(url, context, seconds)
            url = keys_url(described, self.settings.issuer)
            self._engine.provider_described(self._number, described.body)
        fetched = await fetch(url, context, seconds)
        return fetched.headers, fetched.body

    def _tell(self, level: int, message: str, *values: Any) -> None:
        """Logs what is news: an outage or a key that cannot be used is told once, not at every attempt."""
        if (level, message, values) != self._told:
            self._told = level, message, values
            LOG.log(level, message, *values)


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return trust(ca)
    except (ssl.SSLError, ValueError) as error:
        raise FetchError(f"`ca` holds no certificate: {error}") from None


_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,9})")


def fresh_for(headers: Message, refresh: float, least: float) -> float:
    """Seconds until keys are fetched again: `refresh`, or sooner where the issuer says so, but never before `least`."""
    policy = (headers.get("cache-control") or "").lower()
    if "no-store" in policy or "no-cache" in policy:
        return min(refresh, least)
    age = _MAX_AGE.search(policy)
    return refresh if age is None else min(refresh, max(float(age[1]), least))
