"""Load for the tests of reloading and draining: keep-alive connections that count what fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.harness import Raw
from tests.harness.poll import DEADLINE


class Load:
    """Clients that ask again and again until told to stop; a connection the gateway has closed is opened anew."""

    def __init__(self, address: Callable[[], tuple[str, int]], clients: int = 8, path: str = "/") -> None:
        self._address = address
        self._request = f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
        self._stop = threading.Event()
        self.done = 0
        self.failed: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _ask(self) -> None:
        connection: Raw | None = None
        while not self._stop.is_set():
            reused = connection is not None
            try:
                connection = connection or Raw(self._address())
                connection.send(self._request)
                status, headers, _ = connection.read_answer()
            except (OSError, AssertionError) as error:
                untouched = connection is not None and not connection.buffer
                if connection is not None:
                    connection.close()
                    connection = None
                # As every client does (RFC 9112 section 9.3.1): a kept connection that ends without a byte of an answer
                # was closed while idle, and the request is sent again on a new one.
                if not (reused and untouched):
                    self._count(f"{type(error).__name__}: {error}")
                continue
            self._count(None if status == 200 else f"status {status}")
            if headers.get("connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _count(self, failure: str | None) -> None:
        with self._lock:
            self.done += 1
            if failure is not None:
                self.failed.append(failure)
