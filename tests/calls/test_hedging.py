"""A second attempt when the first is late: who answers, who is cancelled, and how many there may be."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import Turns, first_then
from tests.calls.test_retries import sample
from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, Raw, RunningGateway, eventually
from tests.harness.upstream import OK, hang_before_head
from tests.proxying.conftest import GET

EVERY: dict[str, Any] = {"after": "5s", "budget": 1}
SECOND = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond"


def heard(gateway: RunningGateway, client: Raw, seconds: float) -> Callable[[], bool]:
    def look() -> bool:
        gateway.advance(seconds)
        return bool(select.select([client.socket], [], [], 0.05)[0])

    return look


def begins(gateway: RunningGateway, turns: Turns, count: int) -> Callable[[], bool]:
    def look() -> bool:
        gateway.advance(2)
        return turns.played == count

    return look


def test_the_second_answers_and_the_first_is_cancelled(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, hang_before_head, mis.says(SECOND))
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        gateway.advance(4)
        assert not select.select([client.socket], [], [], 0.1)[0]
        assert turns.played == 1
        eventually(heard(gateway, client, 2))
        assert client.read_answer()[2] == b"second"
        service.wait_for_closed(2)
        client.send(GET)
        eventually(heard(gateway, client, 1))
        assert client.read_answer()[2] == b"second", "the connection goes on"
    assert sample(gateway, "tidegate_upstream_hedges_total", service="service") == 1
    assert sample(gateway, "tidegate_upstream_hedges_won_total", service="service") == 1


def test_the_first_answers_after_all(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Event()

    def late(connection: Connection) -> None:
        connection.request()
        assert go_on.wait(20)
        connection.send(OK)
        connection.hang()

    service, turns = first_then(upstream, late, hang_before_head)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
        go_on.set()
        assert client.read_answer()[2] == b"ok"
        service.wait_for_closed(1)
    assert sample(gateway, "tidegate_upstream_hedges_total", service="service") == 1
    assert sample(gateway, "tidegate_upstream_hedges_won_total", service="service") == 0


def test_a_quick_answer_needs_no_second(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service, hedging=EVERY)
    assert [gateway.get("/x").text for _ in range(5)] == ["ok"] * 5
    assert len(service.requests) == 5


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (mis.unavailable, mis.says(SECOND), 200),
        (mis.reset_before_answer, mis.says(SECOND), 200),
        (mis.reset_before_answer, mis.reset_before_answer, 502),
        (mis.unavailable, mis.reset_before_answer, 503),
    ],
)
def test_an_answer_that_would_be_tried_again_does_not_win(
    proxy: Proxy, upstream: StartUpstream, first: Any, second: Any, status: int
) -> None:
    """Both are under way when the first one ends badly; then the other decides."""
    both = threading.Barrier(2, timeout=20)
    over = threading.Event()

    def bad(connection: Connection) -> None:
        both.wait()
        first(connection)
        over.set()

    def other(connection: Connection) -> None:
        both.wait()
        assert over.wait(20)
        second(connection)

    service, turns = first_then(upstream, bad, other)
    gateway = proxy(
        service, hedging=EVERY, retries={"attempts": 1, "on": ["reset", 503], "budget": {"ratio": 0, "minimum": 0}}
    )
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_connections()
        eventually(begins(gateway, turns, 2))
        assert client.read_answer()[0] == status
    assert turns.played == 2


@pytest.mark.parametrize(
    ("method", "options", "attempts"),
    [
        ("GET", {}, 2),
        ("HEAD", {}, 2),
        ("PUT", {}, 1),
        ("POST", {}, 1),
        ("POST", {"methods": ["post"]}, 2),
        ("GET", {"methods": ["POST"]}, 1),
    ],
)
def test_only_what_is_safe(
    proxy: Proxy, upstream: StartUpstream, method: str, options: dict[str, Any], attempts: int
) -> None:
    service, turns = first_then(upstream, hang_before_head)
    gateway = proxy(service, hedging={**EVERY, **options}, read_timeout="30s", retries=0)
    with gateway.raw() as client:
        client.send(f"{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        service.wait_for_requests()
        gateway.advance(6)
        if attempts == 2:
            service.wait_for_requests(2)
        gateway.advance(31)
        eventually(heard(gateway, client, 31))
        assert client.read_answer(head=method == "HEAD")[0] == 504
    assert turns.played == attempts


@pytest.mark.parametrize(
    "fields",
    [
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
        "Expect: 100-continue\r\nContent-Length: 4\r\n",
    ],
    ids=["upgrade", "expect"],
)
def test_never_an_upgrade_nor_behind_an_expectation(proxy: Proxy, upstream: StartUpstream, fields: str) -> None:
    heads = threading.Semaphore(0)

    def play(connection: Connection) -> None:
        connection.request_head()
        heads.release()
        connection.hang()

    service, turns = first_then(upstream, play)
    gateway = proxy(service, hedging=EVERY, read_timeout="30s", retries=0)
    with gateway.raw() as client:
        client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        assert heads.acquire(timeout=20)
        gateway.advance(6)
        assert not heads.acquire(timeout=0.2)
    assert turns.played == 1


@pytest.mark.parametrize("how", ["length", "chunks"])
@pytest.mark.parametrize(("size", "attempts"), [(5, 2), (60_000, 2), (70_000, 1)])
def test_a_body_goes_out_twice_where_it_is_kept(
    proxy: Proxy, upstream: StartUpstream, how: str, size: int, attempts: int
) -> None:
    body = bytes(range(250)) * (size // 250) + bytes(size % 250)
    service, _ = first_then(upstream, hang_before_head, mis.says(SECOND))
    gateway = proxy(service, hedging={**EVERY, "methods": ["PUT"]}, read_timeout="20s", retries=0)
    with gateway.raw() as client:
        if how == "length":
            client.send(f"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            client.send(body[: size // 2], body[size // 2 :])
        else:
            client.send("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in (body[: size // 2], body[size // 2 :]):
                client.send(b"%x\r\n%b\r\n" % (len(part), part))
            client.send("0\r\n\r\n")
        service.wait_for_requests()
        eventually(heard(gateway, client, 6))
        assert client.read_answer()[0] == (200 if attempts == 2 else 504)
        if attempts == 2:
            client.send(GET.replace("GET", "DELETE"))
            assert client.read_answer()[2] == b"second", "the connection is in step"
    assert [request.body for request in service.requests[:attempts]] == [body] * attempts


def test_a_body_that_does_not_come_is_the_clients_fault(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    gateway = proxy(service, hedging={**EVERY, "methods": ["PUT"]})
    with gateway.raw() as client:
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        eventually(heard(gateway, client, 80))
        assert client.read_head()[0] == 408
    assert service.connections == 0


def test_the_other_target_is_asked(gateway: StartGateway, upstream: StartUpstream) -> None:
    slow, quick = upstream().script(hang_before_head), upstream().answer(SECOND)
    running = gateway(
        {
            "services": [
                {
                    "name": "s",
                    "upstream": {"targets": [{"address": one.url.removeprefix("http://")} for one in (slow, quick)]},
                    "hedging": {"after": "500ms", "budget": 1},
                    "read_timeout": "1h",
                }
            ],
            "routes": [{"name": "all", "paths": ["/"], "service": "s"}],
        }
    )
    for _ in range(4):
        with running.raw() as client:
            client.send(GET)
            eventually(heard(running, client, 0.3))
            assert client.read_answer()[2] == b"second"
    assert len(quick.requests) == 4, "each was answered there, whoever was asked first"
    assert slow.requests


def test_the_budget_is_a_share_of_the_calls(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service, hedging={"after": "1s", "budget": "10%"}, read_timeout="5s", retries=0)
    with ThreadPoolExecutor(30) as threads:
        answers = [threads.submit(gateway.get, "/x") for _ in range(30)]
        service.wait_for_requests(30)
        gateway.advance(1.1)
        service.wait_for_requests(33)
        gateway.advance(6)
        assert {answer.result().status for answer in answers} == {504}
    assert len(service.requests) == 33
    assert sample(gateway, "tidegate_upstream_hedge_budget_exhausted_total", service="service") == 27


def test_the_delay_is_the_live_percentile(proxy: Proxy, upstream: StartUpstream) -> None:
    """Nothing is hedged before enough is known; then what takes longer than nearly all others is."""
    slow = threading.Event()

    def play(connection: Connection) -> None:
        while connection.request() is not None:
            if slow.is_set():
                slow.clear()
                connection.hang()
                return
            connection.send(OK)

    service: FakeUpstream = upstream().script(play)
    gateway = proxy(service, hedging={"after": "p95", "budget": 1}, read_timeout="60s", retries=0)
    slow.set()
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(heard(gateway, client, 61))
        assert client.read_answer()[0] == 504
    for _ in range(40):
        assert gateway.get("/x").status == 200
    gateway.advance(1)
    assert gateway.get("/x").status == 200
    slow.set()
    # No clock is moved: the second attempt begins after the few milliseconds that the others took.
    assert gateway.get("/x").text == "ok"
    assert sample(gateway, "tidegate_upstream_hedges_won_total", service="service") == 1


def test_a_client_that_leaves_cancels_both(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, hang_before_head)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
    service.wait_for_closed(2)


def test_an_answer_streams_as_ever(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert go_on.wait(20)
        connection.send("4\r\nlast\r\n0\r\n\r\n")

    service, _ = first_then(upstream, hang_before_head, play)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(heard(gateway, client, 2))
        client.read_head()
        client.read_until(b"first\r\n")
        go_on.set()
        client.read_until(b"last\r\n0\r\n\r\n")
