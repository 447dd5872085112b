"""What is tried again, how often the service sees it, and what the client gets."""

from __future__ import annotations

import select
import threading
from typing import Any

import pytest

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import first_then
from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, FakeUpstream, RunningGateway, Script, eventually
from tests.harness.upstream import OK
from tests.proxying.conftest import advance_until_heard

AT_ONCE: dict[str, Any] = {"attempts": 2, "backoff": "off"}
ANYTHING = ["connect_failure", "reset", "refused_stream", "try_timeout", "timeout", 500, 503]


def sample(gateway: RunningGateway, name: str, **labels: str) -> float:
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    for line in gateway.metrics().splitlines():
        if line.startswith(f"{name}{{") and all(label in line for label in wanted):
            return float(line.rsplit(" ", 1)[1])
    return 0


@pytest.mark.parametrize(
    ("script", "on", "attempts", "ends"),
    [
        (mis.close_after_request, ["reset"], 3, (502, "upstream_closed")),
        (mis.close_after_request, ["connect_failure", 503], 1, (502, "upstream_closed")),
        (mis.reset_before_answer, ["reset"], 3, (502, "upstream_reset")),
        (mis.half_head, ["reset"], 3, (502, "upstream_reset")),
        (mis.half_head, [], 1, (502, "upstream_reset")),
        (mis.wrong_framing, ANYTHING, 1, (502, "upstream_malformed")),
        (mis.no_http, ANYTHING, 1, (502, "upstream_malformed")),
        (mis.unavailable, ["reset"], 1, (503, "busy")),
        (mis.unavailable, [503], 3, (503, "busy")),
        (mis.unavailable, [500, 502], 1, (503, "busy")),
        (mis.failing, [500], 3, (500, "")),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_the_service_sees_as_many_attempts_as_the_page_says(
    proxy: Proxy, upstream: StartUpstream, script: Script, on: list[Any], attempts: int, ends: tuple[int, str]
) -> None:
    service, turns = first_then(upstream, script)
    gateway = proxy(service, retries={**AT_ONCE, "on": on})
    answer = gateway.get("/x")
    assert (answer.status, answer.code if ends[1].startswith("upstream") else answer.text) == ends
    assert turns.played == attempts


@pytest.mark.parametrize(
    "script",
    [mis.close_after_request, mis.reset_before_answer, mis.half_head, mis.unavailable, mis.failing],
    ids=lambda script: script.__name__,
)
def test_one_bad_turn_is_not_seen_by_the_client(proxy: Proxy, upstream: StartUpstream, script: Script) -> None:
    service, turns = first_then(upstream, script, mis.fine)
    gateway = proxy(service, retries={**AT_ONCE, "on": ANYTHING})
    assert gateway.get("/x").text == "ok"
    assert turns.played == 2


def test_the_last_answer_is_the_clients(proxy: Proxy, upstream: StartUpstream) -> None:
    """Also when an answer came before and a failure last."""
    service, _ = first_then(upstream, mis.unavailable, mis.unavailable, mis.close_after_request)
    answer = proxy(service, retries={**AT_ONCE, "on": ANYTHING}).get("/x")
    assert (answer.status, answer.code) == (502, "upstream_closed")


@pytest.mark.parametrize(
    ("method", "options", "attempts"),
    [
        ("GET", {}, 2),
        ("PUT", {}, 2),
        ("DELETE", {}, 2),
        ("POST", {}, 1),
        ("PATCH", {}, 1),
        ("POST", {"methods": ["post"]}, 2),
        ("GET", {"methods": ["POST"]}, 1),
    ],
)
def test_what_may_do_harm_twice_is_sent_once(
    proxy: Proxy, upstream: StartUpstream, method: str, options: dict[str, Any], attempts: int
) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer, mis.fine)
    gateway = proxy(service, retries={**AT_ONCE, **options})
    assert gateway.request(method, "/x").status == (200 if attempts == 2 else 502)
    assert turns.played == attempts


@pytest.mark.parametrize("how", ["length", "chunks", "drip"])
@pytest.mark.parametrize(("size", "attempts"), [(1, 2), (50_000, 2), (64 << 10, 2), ((64 << 10) + 1, 1), (300_000, 1)])
def test_a_body_is_sent_again_where_it_was_kept(
    proxy: Proxy, upstream: StartUpstream, how: str, size: int, attempts: int
) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    service, turns = first_then(upstream, mis.reset_before_answer, mis.fine)
    gateway = proxy(service, retries=AT_ONCE)
    with gateway.raw() as client:
        if how == "length":
            client.send(f"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode() + body)
        else:
            client.send("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            step = 1000 if how == "drip" else size
            for start in range(0, size, step):
                piece = body[start : start + step]
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.send("0\r\nx-check: 1\r\n\r\n")
        assert client.read_answer()[0] == (200 if attempts == 2 else 502)
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer()[0] == 200, "the connection is in step"
    assert turns.played >= attempts
    assert [request.body for request in service.requests if request.method == "PUT"] == [body] * attempts


def test_a_kept_bound_of_ones_own(proxy: Proxy, upstream: StartUpstream) -> None:
    service, _ = first_then(upstream, mis.reset_before_answer, mis.fine)
    gateway = proxy(service, retries={**AT_ONCE, "body": "1MiB"})
    assert gateway.request("PUT", "/x", body=bytes(900_000)).status == 200
    assert [len(request.body) for request in service.requests] == [900_000] * 2


def test_another_target_each_time(gateway: StartGateway, upstream: StartUpstream) -> None:
    services = [upstream().script(mis.unavailable) for _ in range(3)]
    running = gateway(
        {
            "services": [
                {
                    "name": "s",
                    "upstream": {"targets": [{"address": service.url.removeprefix("http://")} for service in services]},
                    "retries": {**AT_ONCE, "on": [503]},
                }
            ],
            "routes": [{"name": "all", "paths": ["/"], "service": "s"}],
        }
    )
    assert running.get("/x").status == 503
    assert [len(service.requests) for service in services] == [1, 1, 1]


def retry_after(value: str) -> bytes:
    return f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("value", "options", "attempts"), [("60", {}, 1), ("0", {}, 2), ("60", {"retry_after": "off"}, 2)]
)
def test_a_service_that_wants_to_be_left_alone_is(
    proxy: Proxy, upstream: StartUpstream, value: str, options: dict[str, Any], attempts: int
) -> None:
    service, turns = first_then(upstream, mis.says(retry_after(value)), mis.fine)
    answer = proxy(service, retries={**AT_ONCE, "on": [503], **options}).get("/x")
    assert answer.status == (200 if attempts == 2 else 503)
    assert turns.played == attempts


def test_a_short_wish_is_waited_for(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.says(retry_after("30")), mis.fine)
    gateway = proxy(service, retries={**AT_ONCE, "on": [503], "retry_after": "1m"})
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        service.wait_for_requests()
        gateway.advance(20)
        assert not select.select([client.socket], [], [], 0.1)[0]
        assert turns.played == 1
        advance_until_heard(gateway, client, 15)
        assert client.read_answer()[2] == b"ok"


def test_no_pause_is_longer_than_the_deadline(proxy: Proxy, upstream: StartUpstream) -> None:
    """What is there is given to the client, and at once."""
    service, turns = first_then(upstream, mis.says(retry_after("30")))
    gateway = proxy(service, retries={**AT_ONCE, "on": [503], "retry_after": "1m"}, route={"timeout": "20s"})
    assert gateway.get("/x").status == 503
    assert turns.played == 1


def test_a_client_that_leaves_in_the_pause_is_not_retried_for(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.says(retry_after("30")))
    gateway = proxy(service, retries={**AT_ONCE, "on": [503], "retry_after": "1m"})
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        service.wait_for_requests()
    eventually(lambda: 'tidegate_refusals_total{code="client_gone"} 1' in gateway.metrics())
    gateway.advance(60)
    assert turns.played == 1


def test_the_budget_bounds_an_outage(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer)
    gateway = proxy(service, retries={"attempts": 3, "backoff": "off", "budget": {"ratio": 0.2, "minimum": 1}})
    for _ in range(100):
        assert gateway.get("/x").status == 502
    assert 110 <= turns.played <= 120, "10 in the window however few the calls, and at most a fifth of them"
    assert sample(gateway, "tidegate_upstream_retry_budget_exhausted_total", service="service") > 0
    assert sample(gateway, "tidegate_upstream_retries_total", reason="reset") == turns.played - 100
    gateway.advance(11)
    before = turns.played
    gateway.get("/x")
    assert turns.played == before + 4, "the window has moved on"


def test_the_budget_is_one_for_all_workers_and_outlives_a_reload(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer)
    document: dict[str, Any] = {
        "services": [{"name": "s", "url": service.url, "retries": {**AT_ONCE, "budget": {"ratio": 0, "minimum": 1}}}],
        "routes": [{"name": "a", "paths": ["/"], "service": "s"}],
    }
    running = gateway(document, workers=2)
    for _ in range(20):
        running.get("/x")
    assert turns.played == 30
    document["services"][0]["read_timeout"] = "7s"
    running.reload({"access_log": "off", **document})
    for _ in range(5):
        running.get("/x")
    assert turns.played == 35


def test_a_route_says_it_anew(gateway: StartGateway, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer)
    running = gateway(
        {
            "services": [{"name": "s", "url": service.url, "retries": {**AT_ONCE, "attempts": 1}}],
            "routes": [
                {"name": "as-the-service", "paths": ["/a"], "service": "s"},
                {"name": "none", "paths": ["/b"], "service": "s", "retries": 0},
                {"name": "more", "paths": ["/c"], "service": "s", "retries": {**AT_ONCE, "attempts": 4}},
            ],
        }
    )
    seen = []
    for path in "abc":
        before = turns.played
        running.get(f"/{path}")
        seen.append(turns.played - before)
    assert seen == [2, 1, 5]


def test_an_answer_that_is_not_wanted_leaves_its_connection(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        while connection.request() is not None:
            connection.send(mis.UNAVAILABLE if len(service.requests) == 1 else OK)

    service: FakeUpstream = upstream().script(play)
    gateway = proxy(service, retries={"attempts": 1, "on": [503], "backoff": {"base": "1s", "max": "1s"}})
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        service.wait_for_requests()
        advance_until_heard(gateway, client, 1)
        assert client.read_answer()[2] == b"ok"
    assert service.connections == 1


@pytest.mark.parametrize("length", [str(1 << 30), None], ids=["long", "endless"])
def test_an_answer_that_is_not_wanted_is_cancelled_where_it_goes_on(
    proxy: Proxy, upstream: StartUpstream, length: str | None
) -> None:
    over = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        field = f"content-length: {length}" if length else "connection: close"
        connection.send(f"HTTP/1.1 503 Busy\r\n{field}\r\n\r\n")
        try:
            while True:
                connection.send(bytes(10_000))
        except OSError:
            over.set()

    service, _ = first_then(upstream, play, mis.fine)
    assert proxy(service, retries={**AT_ONCE, "on": [503]}).get("/x").text == "ok"
    assert over.wait(20)


def test_an_upgrade_is_never_tried_again(proxy: Proxy, upstream: StartUpstream) -> None:
    service, turns = first_then(upstream, mis.reset_before_answer)
    gateway = proxy(service, retries={**AT_ONCE, "on": ANYTHING})
    upgrade = {"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert gateway.get("/x", headers=upgrade).status == 502
    assert turns.played == 1


def test_a_body_behind_expect_is_sent_again_once_it_is_here(proxy: Proxy, upstream: StartUpstream) -> None:
    def take_and_reset(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_exactly(4)
        connection.reset()

    def take(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
        assert connection.read_exactly(4) == b"body"
        connection.send(OK)

    service, turns = first_then(upstream, take_and_reset, take)
    with proxy(service, retries=AT_ONCE).raw() as client:
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_head()[0] == 100
        client.send("body")
        assert client.read_answer()[0] == 200
    assert turns.played == 2


def test_flapping_is_not_seen(proxy: Proxy, upstream: StartUpstream) -> None:
    """Every second connection fails; every request is answered, with exactly as many attempts as connections."""
    turns: list[bool] = []

    def play(connection: Connection) -> None:
        bad = len(turns) % 2 == 0
        turns.append(bad)
        if bad:
            mis.reset_before_answer(connection)
        else:
            connection.request()
            connection.send(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))

    service = upstream().script(play)
    gateway = proxy(service, retries={"attempts": 1, "backoff": "off", "budget": "off"})
    assert [gateway.get("/x").status for _ in range(20)] == [200] * 20
    assert len(turns) == 40
