"""What may happen between two attempts of which neither has answered yet."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import first_then
from tests.calls.test_hedging import EVERY, SECOND, begins, heard
from tests.calls.test_retries import sample
from tests.conftest import Proxy, StartUpstream
from tests.harness import Connection, FakeUpstream, Script, eventually
from tests.harness.upstream import OK, hang_before_head
from tests.proxying.conftest import GET

HEDGES = "tidegate_upstream_hedges_total"
HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def after(told: threading.Event, script: Script) -> Script:
    """Takes the request, and goes on with what else is to be done when it is told so."""

    def play(connection: Connection) -> None:
        connection.request()
        assert told.wait(20)
        script(connection)

    return play


def sends(answer: bytes) -> Script:
    def play(connection: Connection) -> None:
        connection.send(answer)

    return play


def came(service: FakeUpstream, target: str) -> bool:
    return target in [request.target for request in service.requests]


def test_a_first_attempt_that_fails_early_is_tried_again_and_not_hedged(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer, mis.fine)
    gateway = proxy(service, hedging=EVERY, retries={"attempts": 1, "on": ["reset"], "budget": {"ratio": 1}})
    with gateway.raw() as client:
        client.send(GET)
        eventually(heard(gateway, client, 0.05))
        assert client.read_answer()[2] == b"ok"
        gateway.advance(6)
        client.send(GET)
        assert client.read_answer()[2] == b"ok"
    assert turns.played == 3
    assert sample(gateway, HEDGES, service="service") == 0
    assert sample(gateway, "tidegate_upstream_retries_total", service="service", reason="reset") == 1


def test_when_both_have_failed_they_are_tried_again(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Event()
    bad = after(go_on, mis.close_at_once)
    service, turns = first_then(upstream, bad, bad, mis.fine)
    gateway = proxy(service, hedging=EVERY, retries={"attempts": 1, "on": ["reset"], "budget": {"ratio": 1}})
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
        go_on.set()
        eventually(heard(gateway, client, 0.1))
        assert client.read_answer()[2] == b"ok"
    assert turns.played == 3
    assert sample(gateway, HEDGES, service="service") == 1


def test_the_first_may_answer_just_as_the_second_begins(proxy: Proxy, upstream: StartUpstream) -> None:
    """Whoever wins: each request has one answer, and the connection stays in step."""
    count = 30
    due = [threading.Event() for _ in range(count)]

    def play(connection: Connection) -> None:
        while (request := connection.request()) is not None:
            assert due[int(request.target.rpartition("/")[2])].wait(20)
            connection.send(OK)

    service = upstream().script(play)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        for number in range(count):
            client.send(GET.replace("/x", f"/x/{number}"))
            eventually(partial(came, service, f"/x/{number}"))
            threading.Timer(0, due[number].set).start()
            gateway.advance(5.1)
            assert client.read_answer()[::2] == (200, b"ok")
    hedges = sample(gateway, HEDGES, service="service")
    assert hedges <= count
    answered = sample(gateway, "tidegate_target_requests_total", service="service", outcome="answered")
    assert answered >= count


def test_the_deadline_of_the_exchange_ends_both(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, hang_before_head)
    gateway = proxy(service, hedging=EVERY, timeout="20s", read_timeout="1h", retries=0)
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
        gateway.advance(21)
        eventually(heard(gateway, client, 1))
        assert client.read_answer()[0] == 504
        service.wait_for_closed(2)
    assert turns.played == 2


def test_a_client_that_leaves_before_the_delay_has_one_attempt_cancelled(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, hang_before_head)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
    service.wait_for_closed(1)
    gateway.advance(6)
    assert turns.played == 1
    assert sample(gateway, HEDGES, service="service") == 0


@pytest.mark.parametrize("first", [sends(mis.UNAVAILABLE), mis.close_at_once], ids=["503", "closes"])
def test_a_client_that_leaves_when_only_the_second_is_left(
    proxy: Proxy, upstream: StartUpstream, first: Script
) -> None:
    go_on = threading.Event()
    service, turns = first_then(upstream, after(go_on, first), hang_before_head)
    gateway = proxy(
        service, hedging=EVERY, read_timeout="1h", retries={"attempts": 1, "on": ["reset", 503], "budget": {"ratio": 1}}
    )
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
        go_on.set()
        service.wait_for_closed(1)
    service.wait_for_closed(2)
    assert turns.played == 2, "nothing is tried again for nobody"


@pytest.mark.parametrize("winner", ["first", "second"])
def test_a_body_stays_in_step_whoever_wins(proxy: Proxy, upstream: StartUpstream, winner: str) -> None:
    go_on = threading.Event()
    body = bytes(range(256)) * 200
    scripts = {
        "first": (after(go_on, sends(OK)), hang_before_head, mis.fine),
        "second": (hang_before_head, after(go_on, sends(OK)), mis.fine),
    }
    service, turns = first_then(upstream, *scripts[winner])
    gateway = proxy(service, hedging={**EVERY, "methods": ["PUT"]}, read_timeout="1h", retries=0)
    with gateway.raw() as client:
        client.send(f"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n", body)
        service.wait_for_requests()
        eventually(begins(gateway, turns, 2))
        service.wait_for_requests(2)
        go_on.set()
        assert client.read_answer()[2] == b"ok"
        client.send(GET)
        assert client.read_answer()[2] == b"ok"
    assert [request.body for request in service.requests[:2]] == [body] * 2


@pytest.mark.parametrize("winner", ["first", "second"])
def test_an_answer_before_the_end_of_a_kept_body(proxy: Proxy, upstream: StartUpstream, winner: str) -> None:
    """The service that answers has not taken all of it; the next request follows it on the connection."""
    go_on = threading.Event()

    def early(connection: Connection) -> None:
        connection.request_head()
        assert go_on.wait(20)
        connection.send(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        connection.hang()

    def mute(connection: Connection) -> None:
        connection.request_head()
        connection.hang()

    scripts = {"first": (early, mute, mis.fine), "second": (mute, early, mis.fine)}
    service, turns = first_then(upstream, *scripts[winner])
    size = 8 * 1024 * 1024
    gateway = proxy(
        service,
        hedging={**EVERY, "methods": ["PUT"]},
        read_timeout="1h",
        write_timeout="1h",
        retries={"attempts": 0, "body": "8MiB"},
    )
    with gateway.raw() as client:
        client.send(f"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n", bytes(size))
        service.wait_for_connections()
        eventually(begins(gateway, turns, 2))
        service.wait_for_connections(2)
        go_on.set()
        status, _, text = client.read_answer()
        assert (status, text) == (413, b"no")
        client.send(GET)
        assert client.read_answer()[2] == b"ok"


def test_hints_of_the_first_attempt_are_passed_on_and_those_of_the_second_are_not(
    proxy: Proxy, upstream: StartUpstream
) -> None:
    def first(connection: Connection) -> None:
        connection.request()
        connection.send(HINTS)
        connection.hang()

    service, _ = first_then(upstream, first, mis.says(HINTS.encode() + SECOND))
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        assert client.read_head() == (103, {"link": "</a>"})
        eventually(heard(gateway, client, 6))
        assert client.read_answer()[::2] == (200, b"second")


def test_a_quick_answer_on_the_connection_of_a_late_one_is_not_hedged(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, hang_before_head, mis.says(SECOND), mis.fine)
    gateway = proxy(service, hedging=EVERY, read_timeout="1h")
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        eventually(heard(gateway, client, 6))
        assert client.read_answer()[2] == b"second"
        for _ in range(3):
            client.send(GET)
            assert client.read_answer()[2] == b"ok"
            gateway.advance(4)
    assert turns.played == 5
    assert sample(gateway, HEDGES, service="service") == 1
