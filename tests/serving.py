"""Runs a gateway beside a test that does not use asyncio itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate import Gateway
from tidegate.serve import Running


class Served:
    """A running gateway whose calls may be made from the test's own thread."""

    def __init__(self, running: Running, loop: asyncio.AbstractEventLoop) -> None:
        self._running = running
        self._loop = loop

    def address(self, name: str | None = None) -> tuple[str, int]:
        """Host and port of a listener, the first unless named."""
        return self._running.address(name)

    def url(self, name: str | None = None) -> str:
        """A listener as a client writes it."""
        return self._running.urls[name] if name else self._running.url

    def advance(self, seconds: float) -> None:
        """Moves the gateway's clock."""
        asyncio.run_coroutine_threadsafe(self._running.advance(seconds), self._loop).result(10)

    def drain(self, seconds: float | None = None) -> bool:
        """Stops accepting and waits for what is open."""
        return asyncio.run_coroutine_threadsafe(self._running.drain(seconds), self._loop).result(30)

    def reload(self, gateway: Gateway) -> None:
        """Puts another document in place."""
        asyncio.run_coroutine_threadsafe(self._running.reload(gateway), self._loop).result(10)

    def metrics(self) -> str:
        """What was counted."""
        return self._running.metrics()


@contextmanager
def serving(gateway: Gateway, *, workers: int = 1) -> Iterator[Served]:
    """Serves while the block runs, without an access log."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    served = gateway.model_copy(update={"access_log": "off"}).serve(workers=workers)
    try:
        running = asyncio.run_coroutine_threadsafe(served.__aenter__(), loop).result(30)
        try:
            yield Served(running, loop)
        finally:
            asyncio.run_coroutine_threadsafe(served.__aexit__(None, None, None), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
