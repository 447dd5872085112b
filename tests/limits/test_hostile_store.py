"""A store that means harm, or is none: whatever it says, requests are answered in time, and as the document has it."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import StartGateway

StartStore = Callable[[bytes], str]
LARGEST = 2**63 - 1


@pytest.fixture
def store() -> Iterator[StartStore]:
    """Starts something that greets as Redis does and gives one answer to every script."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def begin(answer: bytes) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while data := self.request.recv(65536):
                    greetings = data.count(b"\r\nCLIENT\r\n") * b"+OK\r\n" + data.count(b"\r\nPING\r\n") * b"+PONG\r\n"
                    scripts = data.count(b"\r\nEVALSHA\r\n") + data.count(b"\r\nEVAL\r\n")
                    self.request.sendall(greetings + scripts * answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"redis://127.0.0.1:{server.server_address[1]}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def array(*numbers: int) -> bytes:
    return b"*%d\r\n" % len(numbers) + b"".join(b":%d\r\n" % number for number in numbers)


ANSWERS = {
    "nothing": b"$-1\r\n",
    "no array": b":1\r\n",
    "an empty array": b"*0\r\n",
    "a negative length": b"*-7\r\n",
    "a bulk without end": b"$4194304\r\nx",
    "a bulk that is too long": b"$99999999999\r\n",
    "lists in lists": b"*1\r\n" * 64,
    "another protocol": b"HTTP/1.1 200 OK\r\n\r\n",
    "text for numbers": b"*5\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n",
    "too few": array(1, 1),
    "too many": array(*[1] * 40),
    "negative": array(1, -1, -1, -1, -1),
    "all the largest": array(1, *[LARGEST] * 4),
    "the largest, and refused": array(0, *[LARGEST] * 4),
    "a time of nothing": array(1, 0, LARGEST, LARGEST, LARGEST),
    "a count of nothing": array(1, LARGEST, 0, 0, 0),
    "an error": b"-WRONGTYPE Operation against a key\r\n",
    "an error without end": b"-" + b"x" * 100_000,
    "no such script": b"-NOSCRIPT No matching script.\r\n",
    "itself": b"-MOVED 1 127.0.0.1:1\r\n",
}
LIMITS: dict[str, dict[str, dict[str, object]]] = {
    "fixed_window": {"rate_limit": {"limit": "5/1m", "algorithm": "fixed_window"}},
    "sliding_window": {"rate_limit": {"limit": "5/1m", "algorithm": "sliding_window"}},
    "sliding_log": {"rate_limit": {"limit": "5/1m", "algorithm": "sliding_log"}},
    "token_bucket": {"rate_limit": {"limit": "5/1m", "algorithm": "token_bucket"}},
    "leaky_bucket": {"rate_limit": {"limit": "5/1m", "algorithm": "leaky_bucket", "max_delay": "100ms"}},
    "quota": {"quota": {"limit": "5/day"}},
    "concurrency": {"concurrency": {"limit": 5}},
    "synced": {"rate_limit": {"limit": "5/1m", "sync": "20ms"}, "quota": {"limit": "5/day", "sync": "20ms"}},
}


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_whatever_it_says_requests_are_answered(gateway: StartGateway, store: StartStore, answer: str) -> None:
    def route(name: str) -> dict[str, object]:
        policies = {kind: {**options, "on_store_failure": "deny"} for kind, options in LIMITS[name].items()}
        return {"name": name, "paths": [f"/{name}"], "respond": {"status": 200}, "policies": policies}

    redis = {"url": store(ANSWERS[answer]), "timeout": "200ms"}
    running = gateway({"redis": redis, "routes": [*map(route, LIMITS), {"name": "r", "paths": ["/"], "respond": {}}]})
    for name in LIMITS:
        for _ in range(2):
            began = time.monotonic()
            assert running.get(f"/{name}").status in (200, 429, 503), (answer, name)
            assert time.monotonic() - began < 2
    assert running.get("/").status == 200
