"""`concurrency`: so many at once and no more, and every one that ends makes room."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.echo import Answer, EchoGateway, Start, ask
from tests.harness import eventually

PAGE = Path(__file__).parents[2] / "docs" / "policies" / "concurrency.md"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def gauge(gateway: EchoGateway, name: str) -> int:
    found = re.search(rf"^tidegate_limit_{name} (\d+)$", gateway.metrics()[1], re.M)
    assert found is not None
    return int(found[1])


def leases(gateway: EchoGateway) -> int:
    return gauge(gateway, "leases")


def waiting(gateway: EchoGateway) -> int:
    return gauge(gateway, "waiting")


def decided(gateway: EchoGateway, outcome: str) -> int:
    found = re.search(rf'^tidegate_limit_decisions_total\{{.*outcome="{outcome}"\}} (\d+)$', gateway.metrics()[1], re.M)
    return int(found[1]) if found else 0


def occupy(gateway: EchoGateway, count: int = 1, *headers: tuple[str, str], held: int = 0) -> list[socket.socket]:
    """Requests that the service never answers, beside those `held`; each ends when its socket is closed."""
    # A lease ends when its answer has been sent, which a client may see a moment earlier.
    eventually(lambda: leases(gateway) == held)
    clients = []
    for _ in range(count):
        client = gateway.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        client.sendall(f"GET /a/hang HTTP/1.1\r\nHost: gateway.example\r\n{lines}\r\n".encode())
        clients.append(client)
    eventually(lambda: leases(gateway) == held + count)
    return clients


def limited(start: Start, workers: int = 2, **options: Any) -> EchoGateway:
    return start({"concurrency": options}, workers=workers)


def test_one_too_many_is_refused_until_another_ends(start: Start) -> None:
    gateway = limited(start, limit=2)
    first, second = occupy(gateway, 2)
    answer = ask(gateway)
    assert (answer.status, answer.json()["code"]) == (429, "too_many_concurrent")
    assert answer.one("retry-after") in ("1", "2")
    first.close()
    eventually(lambda: leases(gateway) == 1)
    assert ask(gateway).status == 200
    second.close()


def test_requests_one_after_another_are_no_crowd(start: Start) -> None:
    gateway = limited(start, limit=1)
    for _ in range(5):
        eventually(lambda: leases(gateway) == 0)
        assert ask(gateway).status == 200


@pytest.mark.parametrize("target", ["/down", "/nowhere-at-all", "/?status=500"])
def test_a_request_that_fails_ends_its_lease(start: Start, target: str) -> None:
    gateway = limited(start, limit=1)
    for _ in range(3):
        assert ask(gateway, target=target).status in (404, 500, 502)
        eventually(lambda: leases(gateway) == 0)


def test_all_workers_count_together(start: Start, threads: ThreadPoolExecutor) -> None:
    gateway = limited(start, workers=4, limit=3)
    clients = occupy(gateway, 3)
    assert set(threads.map(lambda _: ask(gateway).status, range(20))) == {429}
    for client in clients:
        client.close()


def test_a_reload_keeps_the_leases(start: Start) -> None:
    gateway = limited(start, limit=1)
    (client,) = occupy(gateway)
    gateway.reload({"concurrency": {"limit": 2, "name": "default"}})
    assert ask(gateway).status == 200
    eventually(lambda: leases(gateway) == 1)
    gateway.reload({"concurrency": {"limit": 1}})
    assert ask(gateway).status == 429
    client.close()
    eventually(lambda: leases(gateway) == 0)
    assert ask(gateway).status == 200


def test_each_key_has_its_own_leases(start: Start) -> None:
    gateway = limited(start, limit=1, key="{header.x-key}")
    (client,) = occupy(gateway, 1, ("x-key", "a"))
    assert ask(gateway, headers=[("x-key", "a")]).status == 429
    assert ask(gateway, headers=[("x-key", "b")]).status == 200
    client.close()


def test_a_tier_may_have_more(start: Start) -> None:
    gateway = limited(start, limit=1, tier="{header.x-plan}", tiers={"big": 2, "all": "unlimited"})
    clients = occupy(gateway)
    assert ask(gateway).status == 429
    assert ask(gateway, headers=[("x-plan", "big")]).status == 200
    clients += occupy(gateway, 1, ("x-plan", "big"), held=1)
    assert ask(gateway, headers=[("x-plan", "big")]).status == 429
    assert ask(gateway, headers=[("x-plan", "all")]).status == 200
    for client in clients:
        client.close()


def test_a_shadow_refuses_nothing(start: Start) -> None:
    gateway = limited(start, limit=1, mode="shadow")
    (client,) = occupy(gateway)
    assert ask(gateway).status == 200
    assert decided(gateway, "shadow_refused") == 1
    client.close()


# ---- the queue


def queued(gateway: EchoGateway, threads: ThreadPoolExecutor) -> Future[Answer]:
    """A request that waits for its turn."""
    asked = threads.submit(ask, gateway)
    eventually(lambda: waiting(gateway) == 1)
    return asked


def test_a_request_in_the_queue_goes_when_another_ends(start: Start, threads: ThreadPoolExecutor) -> None:
    gateway = limited(start, limit=1, queue=1, queue_timeout="1h")
    (client,) = occupy(gateway)
    asked = queued(gateway, threads)
    client.close()
    assert asked.result().status == 200
    assert decided(gateway, "delayed") == 1
    eventually(lambda: leases(gateway) == 0)


def test_a_full_queue_refuses(start: Start, threads: ThreadPoolExecutor) -> None:
    gateway = limited(start, limit=1, queue=1, queue_timeout="1h")
    (client,) = occupy(gateway)
    asked = queued(gateway, threads)
    assert ask(gateway).status == 429
    client.close()
    assert asked.result().status == 200


def test_nobody_waits_longer_than_the_longest_wait(start: Start, threads: ThreadPoolExecutor) -> None:
    gateway = limited(start, limit=1, queue=1, queue_timeout="30s")
    (client,) = occupy(gateway)
    asked = queued(gateway, threads)
    gateway.advance(30)
    assert asked.result().json()["code"] == "too_many_concurrent"
    client.close()
    eventually(lambda: leases(gateway) == 0)


def test_who_leaves_the_queue_makes_room_in_it(start: Start, threads: ThreadPoolExecutor) -> None:
    gateway = limited(start, limit=1, queue=1, queue_timeout="1h")
    (client,) = occupy(gateway)
    with gateway.connect() as leaver:
        leaver.sendall(b"GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
        eventually(lambda: waiting(gateway) == 1)
    eventually(lambda: waiting(gateway) == 0)
    asked = queued(gateway, threads)
    client.close()
    assert asked.result().status == 200
    eventually(lambda: leases(gateway) == 0)


# ---- the page


def test_the_example_of_its_page_does_what_it_says(start: Start, threads: ThreadPoolExecutor) -> None:
    text = re.search(r"## Example\n.*?```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert text is not None
    (route,) = yaml.safe_load(text[1])["routes"]
    gateway = start({}, routes=[{**route, "service": "echo", "strip_path": False}])
    clients = []
    for _ in range(4):
        client = gateway.connect()
        client.sendall(b"GET /reports/hang HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
        clients.append(client)
    eventually(lambda: leases(gateway) == 4)
    asked = [threads.submit(ask, gateway, target="/reports") for _ in range(2)]
    eventually(lambda: waiting(gateway) == 2)
    for client in clients:
        client.close()
    assert [one.result().status for one in asked] == [200, 200]
