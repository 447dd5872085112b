"""`fault`: delays and errors on purpose, for those who are meant and for nobody else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.echo import EchoGateway, Start, ask
from tests.harness import FakeUpstream, eventually


def injected(gateway: EchoGateway, fault: str) -> int:
    found = re.search(rf'^tidegate_faults_total\{{.*fault="{fault}"\}} (\d+)$', gateway.metrics()[1], re.M)
    return int(found[1]) if found else 0


def test_an_abort_answers_instead_of_the_service(start: Start, echo_service: FakeUpstream) -> None:
    gateway = start({"fault": {"abort": {"status": 418}}})
    answer = ask(gateway)
    assert (answer.status, answer.json()["code"], answer.json()["status"]) == (418, "fault_injected", 418)
    assert answer.one("content-type") == "application/problem+json"
    assert echo_service.requests == []
    assert injected(gateway, "abort") == 1


def test_a_delay_holds_the_request_and_lets_it_go(start: Start) -> None:
    gateway = start({"fault": {"delay": {"time": "1h"}}})
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, gateway)
        eventually(lambda: injected(gateway, "delay") == 1)
        assert not asked.done()
        gateway.advance(3600)
        assert asked.result().status == 200


def test_a_held_request_may_be_aborted_then(start: Start) -> None:
    gateway = start({"fault": {"delay": {"time": "1h"}, "abort": {}}})
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, gateway)
        eventually(lambda: injected(gateway, "delay") == 1)
        assert injected(gateway, "abort") == 0
        gateway.advance(3600)
        assert asked.result().status == 503


def test_a_delay_is_not_longer_than_the_route_has_time(start: Start) -> None:
    route = {"name": "short", "paths": ["/short"], "service": "echo", "timeout": "10s"}
    gateway = start({"fault": {"delay": {"time": "1h"}}}, routes=[route])
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, gateway, "GET", "/short")
        eventually(lambda: injected(gateway, "delay") == 1)
        gateway.advance(11)
        assert asked.result().json()["code"] == "timeout"


def test_no_more_are_held_than_it_says_and_who_leaves_makes_room(start: Start) -> None:
    gateway = start({"fault": {"delay": {"time": "1h"}, "most": 1}}, workers=2)
    held = gateway.connect()
    held.sendall(b"GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
    eventually(lambda: injected(gateway, "delay") == 1)
    assert ask(gateway).status == 200
    assert injected(gateway, "spared") == 1
    held.close()

    def another_is_held() -> bool:
        with gateway.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
            return bool(eventually(lambda: injected(gateway, "delay") + injected(gateway, "spared") > 2))

    eventually(lambda: another_is_held() and injected(gateway, "delay") > 1)


SHARES = [(0, 0), (50, 500), (100, 1000)]


@pytest.mark.parametrize(("share", "expected"), SHARES)
def test_a_share_of_the_requests_is_hit(start: Start, share: int, expected: int) -> None:
    gateway = start({"fault": {"abort": {"share": share}, "seed": 7}}, workers=1)
    statuses = statuses_of(gateway, 1000)
    assert abs(statuses.count(503) - expected) < 60


def statuses_of(gateway: EchoGateway, count: int) -> list[int]:
    statuses = []
    with gateway.connect() as client, client.makefile("rb") as answers:
        for _ in range(count):
            client.sendall(b"GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
            statuses.append(int(answers.readline().split()[1]))
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)
    return statuses


def test_with_a_seed_the_same_requests_are_hit(start: Start) -> None:
    policies = {"fault": {"abort": {"share": "30%"}, "seed": 1}}
    runs = [statuses_of(start(policies, workers=1), 50) for _ in range(2)]
    assert runs[0] == runs[1]
    other: dict[str, Any] = {"fault": {"abort": {"share": "30%"}, "seed": 2}}
    assert statuses_of(start(other, workers=1), 50) != runs[0]


@pytest.mark.parametrize(
    ("headers", "hit"),
    [([], False), ([("x-game-day", "no")], False), ([("x-game-day", "yes")], True), ([("X-Game-Day", "YES")], False)],
)
def test_only_requests_with_the_header_are_meant(start: Start, headers: list[tuple[str, str]], hit: bool) -> None:
    gateway = start({"fault": {"abort": {}, "headers": {"x-game-day": ["yes", "~yes-\\d+"]}}})
    assert (ask(gateway, headers=headers).status == 503) is hit


def test_an_expression_says_who_is_meant(start: Start) -> None:
    gateway = start({"fault": {"abort": {}, "when": "request.method == 'DELETE' && claims.sub == 'ada'"}})
    assert ask(gateway).status == 200
    assert ask(gateway, "DELETE").status == 200, "nobody calls: not true, and no error"
    gateway.reload({"fault": {"abort": {}, "when": "request.method == 'DELETE'"}})
    assert ask(gateway, "DELETE").status == 503


def test_a_request_that_is_refused_meets_no_fault(start: Start) -> None:
    gateway = start({"fault": {"abort": {}}, "authorize": {"methods": "POST"}})
    assert ask(gateway).status == 403
    assert injected(gateway, "abort") == 0
