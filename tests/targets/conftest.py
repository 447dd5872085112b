"""Targets on addresses of loopback, and a name server."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.harness import RunningGateway
from tests.harness.dns import FakeDns


class Target:
    """A service on one address that answers with that address."""

    def __init__(self, host: str, port: int = 0) -> None:
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                target.started.set()
                if self.path.endswith("/slow"):
                    target.go_on.wait(20)
                body = target.address.encode()
                self.send_response(target.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def setup(self) -> None:
                target.connections += 1
                super().setup()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.host = host
        self.status = 200
        self.connections = 0
        self.started = threading.Event()
        self.go_on = threading.Event()
        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def stop(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


StartTargets = Callable[[int], list[Target]]


@pytest.fixture
def targets() -> Iterator[StartTargets]:
    """Starts targets on 127.0.0.2, 127.0.0.3 and so on, all with the same port."""
    running: list[Target] = []

    def begin(count: int) -> list[Target]:
        for _ in range(20):
            started: list[Target] = []
            try:
                port = 0
                for index in range(count):
                    started.append(Target(f"127.0.0.{index + 2}", port))
                    port = started[0].port
            except OSError:  # the port is taken on one of them
                for one in started:
                    one.stop()
                continue
            running.extend(started)
            return started
        raise AssertionError("no port is free on all addresses")

    yield begin
    for one in running:
        one.stop()


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    server = FakeDns()
    yield server
    server.stop()


def document(upstream: dict[str, Any], dns: FakeDns | None = None, **service: Any) -> dict[str, Any]:
    """One service with this upstream behind `/`."""
    resolver = {"resolver": {"servers": [dns.address], "timeout": "300ms"}} if dns else {}
    return {
        **resolver,
        "services": [{"name": "s", "upstream": upstream, **service}],
        "routes": [{"name": "r", "paths": ["/"], "service": "s"}],
    }


def reached(running: RunningGateway, requests: int = 20, **options: Any) -> Counter[str]:
    """The targets that answered so many requests."""
    return Counter(running.get("/", **options).text for _ in range(requests))
