"""The breaker through the front door: what opens it, what closes it, and who hears of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from tidegate import BreakerEvent, CircuitBreaker, Gateway, Route, Service

from tests.conftest import StartGateway, StartUpstream
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.gateway import Answer, ask
from tests.harness.poll import DEADLINE
from tests.harness.upstream import OK, half_answer, hang_before_head, reset_before_answer

FAILS = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"


def document(service: FakeUpstream, breaker: Mapping[str, Any] | str, **more: Any) -> dict[str, Any]:
    return {
        "services": [{"name": "orders", "url": service.url, "retries": 0, "circuit_breaker": breaker, **more}],
        "routes": [{"name": "orders", "paths": ["/orders"], "service": "orders"}],
    }


def statuses(gateway: RunningGateway, count: int) -> list[int]:
    return [gateway.get("/orders").status for _ in range(count)]


def state(gateway: RunningGateway, name: str = "orders") -> str:
    found = re.findall(rf'tidegate_breaker_state{{breaker="{name}",state="(\w+)"}} 1', gateway.metrics())
    assert len(found) == 1, gateway.metrics()
    return str(found[0])


def test_five_failures_open_it_and_three_trials_close_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    running = gateway(document(service, {}))
    assert statuses(running, 5) == [500] * 5
    refused = running.get("/orders")
    assert (refused.status, refused.code) == (503, "circuit_open")
    assert refused.headers["retry-after"] == "30"
    assert len(service.requests) == 5
    running.advance(29.5)
    assert running.get("/orders").headers["retry-after"] == "1"
    service.answer(OK)
    running.advance(0.6)
    assert statuses(running, 2) == [200, 200]
    assert state(running) == "half_open"
    assert statuses(running, 2) == [200, 200]
    assert state(running) == "closed"


def test_a_trial_that_fails_opens_it_again(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    running = gateway(document(service, {"failure_threshold": 2, "timeout": "10s"}))
    assert statuses(running, 3) == [500, 500, 503]
    running.advance(10)
    assert statuses(running, 3) == [500, 503, 503]


def test_a_success_begins_the_row_anew(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS, FAILS, OK, FAILS, FAILS, FAILS, OK)
    running = gateway(document(service, {"failure_threshold": 3}))
    assert statuses(running, 7) == [500, 500, 200, 500, 500, 500, 503]


@pytest.mark.parametrize("script", [reset_before_answer, half_answer], ids=lambda script: script.__name__)
def test_an_answer_that_breaks_off_is_a_failure(script: Any, gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().script(script)
    running = gateway(document(service, {"failure_threshold": 2}))
    for _ in range(2):
        with running.raw() as client:
            client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            client.read_all()
    assert running.get("/orders").code == "circuit_open"


def test_a_service_that_hangs_is_a_failure_by_the_time_of_the_route(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    service = upstream().script(hang_before_head)
    running = gateway(document(service, {"failure_threshold": 1}, timeout="200ms"))
    assert running.get("/orders").code == "timeout"
    assert running.get("/orders").code == "circuit_open"


def test_a_client_that_leaves_says_nothing_of_the_service(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    running = gateway(document(service, {"failure_threshold": 1}))
    with running.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n")
        service.wait_for_requests()
    service.wait_for_closed()
    service.play = service._answer_all
    assert running.get("/orders").status == 200


def test_nobody_listens(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    running = gateway(document(service, {"failure_threshold": 2}))
    service.stop()
    assert [running.get("/orders").code for _ in range(3)] == ["upstream_connect_failed"] * 2 + ["circuit_open"]


def test_only_what_is_named_counts(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS, FAILS, "HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", OK)
    running = gateway(document(service, {"failure_threshold": 1, "count": [429, "timeout"]}))
    assert statuses(running, 4) == [500, 500, 429, 503]


def test_rates_open_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(OK, FAILS, OK, FAILS, OK)
    running = gateway(document(service, {"failure_rate": "50%", "minimum_calls": 4, "window": "10s"}))
    assert statuses(running, 5) == [200, 500, 200, 500, 503]
    assert 'tidegate_breaker_changes_total{breaker="orders",state="open",reason="failure_rate"} 1' in running.metrics()


def test_retry_after_is_obeyed_when_told_to(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer("HTTP/1.1 503 No\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n", OK)
    running = gateway(document(service, {"accept_retry_after": "2m"}))
    assert running.get("/orders").status == 503
    assert running.get("/orders").headers["retry-after"] == "90"
    assert len(service.requests) == 1
    running.advance(90)
    assert running.get("/orders").status == 200


def test_a_route_has_a_breaker_of_its_own(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    routes = document(service, {"failure_threshold": 2})
    routes["routes"] += [
        {"name": "mine", "paths": ["/mine"], "service": "orders", "circuit_breaker": {"failure_threshold": 1}},
        {"name": "none", "paths": ["/none"], "service": "orders", "circuit_breaker": "off"},
    ]
    running = gateway(routes)
    assert [running.get("/mine").status for _ in range(2)] == [500, 503]
    assert statuses(running, 3) == [500, 500, 503]
    assert [running.get("/none").status for _ in range(3)] == [500] * 3
    assert state(running, "route/mine") == "open"


def test_it_outlives_a_reload_that_does_not_change_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    running = gateway(document(service, {"failure_threshold": 2}))
    statuses(running, 1)
    running.reload(document(service, {"failure_threshold": 2}, read_timeout="7s"))
    assert statuses(running, 2) == [500, 503]
    running.reload(document(service, {"failure_threshold": 3}))
    assert statuses(running, 4) == [500, 500, 500, 503]


def test_it_is_exact_over_all_workers(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    running = gateway(document(service, {"failure_threshold": 20}), workers=4)
    answered: list[int] = []
    threads = [threading.Thread(target=lambda: answered.extend(statuses(running, 5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert answered == [500] * 20
    assert running.get("/orders").code == "circuit_open"


def test_functions_are_told_in_order(upstream: StartUpstream, gateway: StartGateway) -> None:
    service = upstream().answer(FAILS)
    told: list[BreakerEvent] = []
    twice = threading.Event()

    def on_change(event: BreakerEvent) -> None:
        told.append(event)
        if len(told) == 2:
            twice.set()

    breaker = CircuitBreaker(failure_threshold=1, timeout="10s", on_change=on_change)
    orders = Service(name="orders", url=service.url, retries=0, circuit_breaker=breaker)
    running = gateway(Gateway(services=[orders], routes=[Route(name="orders", paths=["/orders"], service=orders)]))
    statuses(running, 1)
    running.advance(10)
    statuses(running, 1)
    assert twice.wait(DEADLINE)
    assert told[0] == BreakerEvent("orders", "closed", "open", "failures", 10.0)
    assert told[1] == BreakerEvent("orders", "open", "half_open", "time_over", 0.0)


def test_coroutines_are_told_and_may_fail(upstream: StartUpstream, gateway: StartGateway) -> None:
    service = upstream().answer(FAILS)
    told = threading.Event()

    async def on_change(event: BreakerEvent) -> None:
        if event.state == "open":
            raise ValueError("no")
        told.set()

    breaker = CircuitBreaker(failure_threshold=1, timeout="10s", on_change=on_change)
    orders = Service(name="orders", url=service.url, retries=0, circuit_breaker=breaker)
    running = gateway(Gateway(services=[orders], routes=[Route(name="orders", paths=["/orders"], service=orders)]))
    statuses(running, 1)
    running.advance(10)
    statuses(running, 1)
    assert told.wait(DEADLINE)


def admin(running: RunningGateway, method: str, body: object = None, kind: str = "application/json") -> Answer:
    assert running.admin is not None
    host, port = running.admin.url.removeprefix("http://").split(":")
    text = None if body is None else json.dumps(body)
    return ask((host, int(port)), method, "/breakers", body=text, headers={"content-type": kind})


def test_operators_see_it_and_force_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(FAILS)
    running = gateway({"admin": {"address": "127.0.0.1:0"}, **document(service, {"failure_threshold": 1})})
    assert admin(running, "GET").json() == {"breakers": [{"breaker": "orders", "state": "closed"}]}
    assert admin(running, "POST", {"breaker": "orders", "state": "open"}).status == 200
    assert running.get("/orders").code == "circuit_open"
    admin(running, "POST", {"breaker": "orders", "state": "closed"})
    assert statuses(running, 3) == [500] * 3
    admin(running, "POST", {"breaker": "orders", "state": "auto"})
    assert statuses(running, 2) == [500, 503]
    (shown,) = admin(running, "GET").json()["breakers"]
    assert shown["state"] == "open"
    assert 0 < shown["open_for"] <= 30


def test_orders_that_make_no_sense_change_nothing(gateway: StartGateway, upstream: StartUpstream) -> None:
    running = gateway({"admin": {"address": "127.0.0.1:0"}, **document(upstream(), {})})
    assert admin(running, "POST", {"breaker": "other", "state": "open"}).status == 404
    bodies: list[object] = [{"breaker": "orders"}, {"breaker": "orders", "state": "ajar"}, [], {"breaker": 7}]
    for body in bodies:
        assert admin(running, "POST", body).status == 400
    # What a form on a web page elsewhere could send.
    assert admin(running, "POST", {"breaker": "orders", "state": "open"}, "text/plain").status == 415
    assert state(running) == "closed"
