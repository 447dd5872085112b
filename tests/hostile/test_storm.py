"""After a storm of rude clients, rude services and reloads, all that was held is given back."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import threading
import time
from typing import Any

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, RunningGateway, eventually
from tests.harness.upstream import OK

SECONDS = 2.0
GAUGES = (
    "tidegate_bulkhead_requests",
    "tidegate_bulkhead_waiting",
    "tidegate_requests_in_flight",
    "tidegate_target_in_flight",
)


def rude(connection: Connection) -> None:
    """Now well-behaved, now not."""
    dice = random.Random()
    while connection.request() is not None:
        throw = dice.random()
        if throw < 0.5:
            connection.send(OK)
        elif throw < 0.6:
            connection.send(b"HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n")
        elif throw < 0.7:
            time.sleep(dice.random() / 5)
            connection.send(OK)
        elif throw < 0.8:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            time.sleep(dice.random() / 10)
            return None
        elif throw < 0.9:
            return connection.reset()
        else:
            connection.send(b"HTTP/1.1 103 Early\r\n\r\n" * dice.randrange(20))
            connection.send(OK)
    return None


def clients(gateway: RunningGateway, until: float, seed: int) -> None:
    """One that sends whole requests, halves of them, upgrades and keys, and leaves whenever it likes."""
    dice = random.Random(seed)
    while time.monotonic() < until:
        method = dice.choice(["GET", "GET", "POST", "PUT"])
        path = dice.choice(["/a", "/b", "/split"])
        fields = [f"idempotency-key: k{dice.randrange(20)}", f"x-user: {dice.randrange(5)}"]
        if dice.random() < 0.1:
            fields += ["connection: upgrade", "upgrade: websocket"]
        if dice.random() < 0.2:
            fields += ["expect: 100-continue"]
        body = b"" if method == "GET" else b"x" * dice.choice([1, 100, 100_000])
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n" + "".join(
            f"{field}\r\n" for field in fields
        )
        data = head.encode() + b"\r\n" + body
        with contextlib.suppress(OSError), socket.create_connection(gateway.address(), 1) as client:
            client.sendall(data if dice.random() < 0.7 else data[: dice.randrange(len(data))])
            client.settimeout(dice.choice([0.001, 0.02, 0.3]))
            client.recv(1000)


def document(services: list[FakeUpstream], workers_hint: int) -> dict[str, Any]:
    targets = [{"address": "{}:{}".format(*service.address)} for service in services]

    def service(name: str, balance: Any) -> dict[str, Any]:
        return {
            "name": name,
            "upstream": {
                "balance": balance,
                "targets": targets,
                "health_check": {"passive": {"ejection_time": "100ms", "probation": 1}},
            },
            "timeout": "500ms",
            "retries": {
                "attempts": 3,
                "on": ["connect_failure", "reset", 503, "timeout"],
                "backoff": {"base": "5ms", "max": "20ms"},
            },
            "hedging": {"after": "10ms", "budget": 0.5, "methods": ["GET", "PUT"]},
            "circuit_breaker": {"failure_threshold": 3, "timeout": "50ms", "ramp": "50ms"},
            "bulkhead": {"max_requests": 4, "max_pending": 8, "max_connections": 6, "queue_timeout": "50ms"},
            "fallback": {"status": 503, "body": "later"} if name == "a" else {"service": "a"},
        }

    return {
        "services": [
            service("a", "least_requests"),
            service("b", {"algorithm": "consistent_hash", "key": "{header.x-user}"}),
        ],
        "routes": [
            {"name": "a", "paths": ["/a"], "service": "a", "policies": {"idempotency": {}}},
            {"name": "b", "paths": ["/b"], "service": "b", "timeout": f"{400 + workers_hint}ms"},
            {
                "name": "split",
                "paths": ["/split"],
                "split": {"services": [{"service": "a", "weight": 1}, {"service": "b", "weight": 1}]},
                "policies": {"fault": {"delay": {"time": "20ms", "share": "20%"}, "abort": {"share": "10%"}}},
            },
        ],
    }


def at_rest(gateway: RunningGateway) -> bool:
    held = re.findall(rf"^({'|'.join(GAUGES)})(\{{.*\}})? (\S+)$", gateway.metrics(), re.M)
    assert {name for name, _, _ in held} == set(GAUGES)
    assert [line for line in held if float(line[2]) != 0] == []
    for name in ("a", "b"):
        slots = re.search(rf'^tidegate_bulkhead_connections\{{bulkhead="{name}"\}} (\d+)$', gateway.metrics(), re.M)
        idle = re.search(
            rf'^tidegate_pool_connections\{{service="{name}",state="idle"\}} (\d+)$', gateway.metrics(), re.M
        )
        assert slots
        assert idle
        assert slots[1] == idle[1]
    return True


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_is_at_rest_after_a_storm(gateway: StartGateway, upstream: StartUpstream, seed: int) -> None:
    services = [upstream().script(rude) for _ in range(3)]
    running = gateway(document(services, 0), workers=2)
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=clients, args=(running, until, seed * 100 + number)) for number in range(12)]
    for thread in threads:
        thread.start()
    for reload in range(1, 4):
        time.sleep(SECONDS / 4)
        running.reload(document(services, reload))
    for thread in threads:
        thread.join()
    eventually(lambda: at_rest(running))
    for service in services:
        service.play = service._answer_all
    # Connections from before are as rude as they were.
    eventually(lambda: answers(running))
    several = [threading.Thread(target=answers, args=(running,)) for _ in range(4)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    eventually(lambda: at_rest(running))


def answers(gateway: RunningGateway) -> bool:
    with contextlib.suppress(http.client.HTTPException, OSError):
        return gateway.get("/b").status == 200
    return False
