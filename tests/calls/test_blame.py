"""What an attempt says about its target: each is counted once, however it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.calls import misbehaving as mis
from tests.calls.test_retries import sample
from tests.conftest import Proxy, StartUpstream
from tests.harness import Connection, RunningGateway, Script, eventually
from tests.harness.upstream import OK, half_answer, hang_after_head, hang_before_head, reset_mid_answer
from tests.proxying.conftest import GET, advance_until_heard

WORDS = ("answered", "error", "failed", "abandoned")


def counted(gateway: RunningGateway) -> dict[str, float]:
    counts = {word: sample(gateway, "tidegate_target_requests_total", outcome=word) for word in WORDS}
    return {word: count for word, count in counts.items() if count}


def becomes(gateway: RunningGateway, counts: dict[str, float]) -> None:
    def check() -> bool:
        assert counted(gateway) == counts
        assert sample(gateway, "tidegate_target_in_flight") == 0
        return True

    eventually(check)


@pytest.mark.parametrize(
    ("script", "counts"),
    [
        (mis.fine, {"answered": 1}),
        (mis.failing, {"error": 1}),
        (mis.close_after_request, {"failed": 1}),
        (mis.half_head, {"failed": 1}),
        (mis.no_http, {"failed": 1}),
        (half_answer, {"failed": 1}),
        (reset_mid_answer, {"failed": 1}),
    ],
)
def test_how_it_ended(proxy: Proxy, upstream: StartUpstream, script: Script, counts: dict[str, float]) -> None:
    gateway = proxy(upstream().script(script), retries=0)
    with gateway.raw() as client:
        client.send(GET)
        client.read_head()
        becomes(gateway, counts)


@pytest.mark.parametrize(
    ("options", "fields", "counts"),
    [
        ({"read_timeout": "10s"}, "", {"failed": 1}),
        ({"try_timeout": "10s"}, "", {"failed": 1}),
        ({"first_byte_timeout": "10s"}, "", {"failed": 1}),
        ({"timeout": "10s"}, "", {"failed": 1}),
        (
            {"timeout": "1h", "deadline": {"header": "x-left", "trust": "everybody"}},
            "x-left: 9000\r\n",
            {"abandoned": 1},
        ),
    ],
)
def test_whose_time_ran_out(
    proxy: Proxy, upstream: StartUpstream, options: dict[str, Any], fields: str, counts: dict[str, float]
) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service, retries=0, **{"read_timeout": "1h", **options})
    with gateway.raw() as client:
        client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        service.wait_for_requests()
        advance_until_heard(gateway, client, 10.1)
        assert client.read_answer()[0] == 504
    becomes(gateway, counts)


def test_a_client_that_takes_its_time_is_not_the_services_fault(proxy: Proxy, upstream: StartUpstream) -> None:
    seen = threading.Event()

    def play(connection: Connection) -> None:
        connection.request_head()
        assert connection.read_exactly(4) == b"half"
        seen.set()
        connection.hang()

    gateway = proxy(upstream().script(play), retries=0, timeout="10s")
    with gateway.raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert seen.wait(20)
        advance_until_heard(gateway, client, 10.1)
        assert client.read_head()[0] == 504
    becomes(gateway, {"abandoned": 1})


def test_a_client_that_leaves_says_nothing_of_the_service(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
    becomes(gateway, {"abandoned": 1})


def test_a_client_that_leaves_within_an_answer_was_answered(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_after_head)
    gateway = proxy(service)
    with gateway.raw() as client:
        client.send(GET)
        client.read_head()
    becomes(gateway, {"answered": 1})


def test_every_attempt_of_a_call_counts(proxy: Proxy, upstream: StartUpstream) -> None:
    service, _ = mis.first_then(upstream, mis.reset_before_answer, mis.unavailable, mis.fine)
    gateway = proxy(service, retries={"attempts": 3, "backoff": "off", "on": ["reset", 503]})
    assert gateway.get("/x").status == 200
    becomes(gateway, {"failed": 1, "error": 1, "answered": 1})


def test_the_loser_of_a_hedge_is_not_blamed(proxy: Proxy, upstream: StartUpstream) -> None:
    service, _ = mis.first_then(upstream, hang_before_head, mis.fine)
    gateway = proxy(service, hedging={"after": "20ms", "budget": 1})
    assert gateway.get("/x").status == 200
    becomes(gateway, {"abandoned": 1, "answered": 1})


def test_a_stale_connection_is_nobodys_fault(proxy: Proxy, upstream: StartUpstream) -> None:
    shut = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        connection.send(OK)
        if not shut.is_set():
            shut.set()
            connection.request_head()
        else:
            connection.hang()

    gateway = proxy(upstream().script(play), retries=0)
    assert [gateway.get("/x").status for _ in range(2)] == [200, 200]
    becomes(gateway, {"abandoned": 1, "answered": 2})
