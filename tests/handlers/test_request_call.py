"""Calls of handlers to services: what is sent, what comes back, and what happens when one fails or somebody leaves."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.handlers import calling, functions
from tests.harness import FakeUpstream, RunningGateway, eventually
from tests.harness.upstream import Connection, Script, hang_after_head, hang_before_head

NAMES = [
    name
    for name, value in vars(calling).items()
    if getattr(value, "__module__", "") == calling.__name__ and callable(value)
]


def document(service: FakeUpstream, *, route: dict[str, object] | None = None, **options: object) -> dict[str, object]:
    return {
        "policies": {"request_id": {}},
        "services": [
            {"name": "service", "url": service.url, **options},
            {"name": "nowhere", "url": "http://127.0.0.1:9", "connect_timeout": 500, "retries": 0},
        ],
        "routes": [
            {
                "name": name,
                "paths": [f"/{name}", f"/{name}/{{id}}"],
                "handler": f"tests.handlers.calling:{name}",
                "max_body": 100 << 20,
                **(route or {}),
            }
            for name in NAMES
        ],
    }


@pytest.fixture
def service(upstream: StartUpstream) -> FakeUpstream:
    functions.events.clear()
    return upstream()


@pytest.fixture
def running(gateway: StartGateway, service: FakeUpstream) -> RunningGateway:
    return gateway(document(service))


def echo_target(connection: Connection) -> None:
    while (request := connection.request()) is not None:
        body = request.target.encode()
        connection.send(b"HTTP/1.1 200 OK\r\nx-type: echo\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def slow_after_telling(connection: Connection) -> None:
    """Hangs, and says when a request is there."""
    connection.request()
    functions.event("seen").set()
    connection.hang()


def test_a_service_is_called(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(echo_target)
    seen = running.get("/one/7").json()
    assert seen == {"status": 200, "ok": True, "text": "/users/7", "type": "echo"}


def test_what_is_asked_is_sent(running: RunningGateway, service: FakeUpstream) -> None:
    service.answer("HTTP/1.1 201 Created\r\nset-cookie: a=1\r\nx-one: 1\r\nx-one: 2\r\ncontent-length: 2\r\n\r\nhi")
    headers = {"Accept-Language": "de", "X-Thing": "secret", "Cookie": "session=1"}
    answer = running.post("/everything", b"body of the client", headers=headers)
    sent = service.last
    assert (sent.method, sent.target) == ("PUT", "/things/a%2Fb%20c?fixed=1&n=3&yes=true&tag=x&tag=y%26z")
    assert (sent.header("content-type"), sent.body) == ("application/json", b'{"items":[1,null]}')
    assert (sent.header("x-own"), sent.header("accept-language")) == ("mine", "de")
    assert (sent.header("x-thing"), sent.header("cookie")) == (None, None), "only what is forwarded goes along"
    assert sent.header("host") == "{}:{}".format(*service.address)
    assert (answer.status, answer.body) == (201, b"hi")
    assert [value for name, value in answer.fields if name == "x-one"] == ["1", "2"]


def test_the_request_id_and_the_trace_go_along_under_spans_of_their_own(
    running: RunningGateway, service: FakeUpstream
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = running.get("/at_once", headers={"traceparent": trace})
    parents = [request.header("traceparent") or "" for request in service.requests]
    assert {parent[:36] for parent in parents} == {trace[:36]}
    assert len({parent[36:52] for parent in parents} | {trace[36:52]}) == 4
    assert {request.header("x-request-id") for request in service.requests} == {answer.headers["x-request-id"]}


def test_calls_are_made_at_once_and_their_answers_are_in_order(running: RunningGateway, service: FakeUpstream) -> None:
    together = threading.Barrier(3, timeout=20)

    def play(connection: Connection) -> None:
        while (request := connection.request()) is not None:
            together.wait()
            connection.send(f"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{request.target}")

    service.script(play)
    assert running.get("/at_once").json() == ["/0", "/1", "/2"]


def test_a_call_may_be_waited_for_in_every_way_of_asyncio(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(echo_target)
    expected = ["group", "group", "wait_for", "shield", "as_completed", "contextvar", "task", "later", "later"]
    assert running.get("/in_every_way").json() == [f"/{name}" for name in expected]


@pytest.mark.parametrize(
    ("path", "target"), [("/nested", "/nested"), ("/plain", "/plain"), ("/in_a_thread", "/thread")]
)
def test_calls_are_made_from_wherever_code_runs(
    running: RunningGateway, service: FakeUpstream, path: str, target: str
) -> None:
    service.script(echo_target)
    assert running.post(path, b"abc").text == target
    assert service.last.body == (b"abc" if path == "/plain" else b"")


def test_a_wrong_thread_is_told_what_to_use(running: RunningGateway, service: FakeUpstream) -> None:
    assert "request.call_blocking" in running.get("/wrong_thread").text
    assert "await request.call" in running.get("/blocking_on_the_loop").text
    assert not service.requests


@pytest.mark.parametrize(
    "path",
    [
        "users/7",
        "http://evil.example/",
        "//evil.example/",
        "/a b",
        "/a\r\nx-injected: 1",
        "/a#b",
        "/users/../admin",
        "/users/%2e%2E/admin",
        "/a\\b",
        "/é",
        "/users/{id}",
        "/a?b=\n",
        "",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_not_sent(
    running: RunningGateway, service: FakeUpstream, path: str
) -> None:
    answer = running.post("/target", path.encode())
    assert answer.status == 418, answer.text
    assert not service.requests


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("7", "/users/7/cart"),
        ("../admin", "/users/..%2Fadmin/cart"),
        ("a?b=c#d", "/users/a%3Fb%3Dc%23d/cart"),
        ("é %", "/users/%C3%A9%20%25/cart"),
        ("..", None),
        (".", None),
        ("", None),
        ("a\r\nx-injected: 1", None),
        ("a\0b", None),
    ],
)
def test_a_value_never_leaves_its_segment(
    running: RunningGateway, service: FakeUpstream, value: str, target: str | None
) -> None:
    answer = running.post("/value", value.encode())
    assert (answer.status == 200, [request.target for request in service.requests]) == (
        target is not None,
        [target] if target else [],
    ), answer.text


def closes(connection: Connection) -> None:
    connection.request()


@pytest.mark.parametrize(
    ("script", "options", "status", "failed"),
    [
        (closes, {"retries": 0}, 502, {"kind": "CallFailed", "reason": "unreachable", "code": "upstream_closed"}),
        (
            hang_before_head,
            {"read_timeout": 50},
            504,
            {"kind": "CallTimeout", "reason": "timeout", "code": "upstream_timeout"},
        ),
        (
            closes,
            {"retries": 0, "circuit_breaker": {"failure_threshold": 1, "timeout": "60s"}},
            503,
            {"kind": "ServiceUnavailable", "reason": "open", "code": "circuit_open"},
        ),
    ],
)
def test_a_call_that_fails_is_an_exception_and_the_answer_where_nobody_catches_it(
    gateway: StartGateway,
    service: FakeUpstream,
    caplog: pytest.LogCaptureFixture,
    script: Script,
    options: dict[str, Any],
    status: int,
    failed: dict[str, str],
) -> None:
    service.script(script)
    running = gateway(document(service, **options))
    if failed["reason"] == "open":
        running.get("/what_fails")
    assert running.get("/what_fails").json() == {"service": "service", **failed}
    for path in ("/does_not_catch", "/does_not_catch_in_a_group"):
        answer = running.get(path)
        assert (answer.status, answer.code) == (status, failed["code"])
        assert answer.headers["content-type"] == "application/problem+json"
    assert not [record for record in caplog.records if record.name == "tidegate.handlers"], (
        "it is no fault of the handler"
    )


def test_a_call_has_its_own_time(gateway: StartGateway, service: FakeUpstream) -> None:
    service.script(slow_after_telling)
    running = gateway(document(service))
    with running.raw() as raw:
        raw.send("GET /in_its_own_time HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        running.advance(4)
        assert raw.read_answer()[2] == b"upstream_timeout"
    service.wait_for_closed()


def test_a_call_gets_no_more_time_than_the_request_has(gateway: StartGateway, service: FakeUpstream) -> None:
    service.script(slow_after_telling)
    running = gateway(document(service, route={"timeout": "1s"}))
    with running.raw() as raw:
        raw.send("GET /does_not_catch HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        running.advance(2)
        status, _, body = raw.read_answer()
        assert (status, json.loads(body)["code"]) == (504, "timeout")
    service.wait_for_closed()


def test_a_status_is_an_answer_unless_it_is_asked_about(running: RunningGateway, service: FakeUpstream) -> None:
    service.answer("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno")
    assert running.get("/one/7").json()["status"] == 404
    answer = running.get("/needs_a_good_status")
    assert (answer.status, answer.code) == (502, "call_failed")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"[1", b"{} {}"])
def test_an_answer_that_is_not_json_is_the_services_fault(
    running: RunningGateway, service: FakeUpstream, body: bytes
) -> None:
    service.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    answer = running.get("/needs_json")
    assert (answer.status, answer.code) == (502, "call_failed")


def test_a_service_that_is_not_there_is_named_with_the_one_that_was_meant(
    running: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    assert running.get("/unknown").code == "handler_failed"
    record = next(record for record in caplog.records if record.name == "tidegate.handlers")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no service is named `servise`; did you mean `service`?"


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/cancels", "cancelled"), ("/times_out", "in time"), ("/first_failure_ends_all", "UnknownService")],
)
def test_a_call_that_nobody_wants_any_more_is_cancelled(
    gateway: StartGateway, service: FakeUpstream, path: str, answer: str
) -> None:
    service.script(slow_after_telling)
    plan = document(service)
    plan["services"] = [one for one in plan["services"] if one["name"] == "service"]  # type: ignore[attr-defined]
    running = gateway(plan)
    assert running.get(path).text == answer
    service.wait_for_closed()


def test_a_client_that_leaves_cancels_all_calls(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(hang_before_head)
    with running.raw() as raw:
        raw.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests(3)
        raw.reset()
    service.wait_for_closed(3)
    assert functions.event("cancelled").wait(20)


def test_who_swallows_its_cancellation_can_call_nobody(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(hang_before_head)
    with running.raw() as raw:
        raw.send("GET /swallows_cancellation HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        raw.reset()
    assert functions.event("swallowed").wait(20)
    assert not functions.event("not gone").is_set()
    assert [request.target for request in service.requests] == ["/slow"]
    assert running.get("/times_out").status == 200


def test_a_task_that_outlives_its_request_can_call_nobody(running: RunningGateway, service: FakeUpstream) -> None:
    assert running.get("/outlives").text == "early"
    functions.event("answered").set()
    assert functions.event("refused").wait(20)
    assert not service.requests


def test_a_call_that_is_never_awaited_warns(running: RunningGateway) -> None:
    assert running.get("/forgets").text == "a call to service `service` was never awaited, so it was cancelled"


def test_a_stream_passes_through(running: RunningGateway, service: FakeUpstream) -> None:
    body = bytes(range(256)) * 20_000
    service.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    assert running.get("/streams").body == body


def test_a_piece_of_a_stream_arrives_before_the_next_is_made(running: RunningGateway, service: FakeUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none;\r\n")
        assert functions.event("gate").wait(20)
        connection.send(b"4\r\ntwo;\r\n0\r\n\r\n")

    service.script(play)
    with running.raw() as raw:
        raw.send("GET /streams HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_until(b"one;")
        functions.event("gate").set()
        raw.read_until(b"two;")


def test_a_handler_that_takes_nothing_holds_the_service_back(running: RunningGateway, service: FakeUpstream) -> None:
    sent = 0

    def play(connection: Connection) -> None:
        nonlocal sent
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        while True:
            connection.send(piece)
            sent += len(piece)

    service.script(play)
    with running.raw() as raw:
        raw.send("GET /stalls HTTP/1.1\r\nHost: x\r\n\r\n")
        assert functions.event("stalled").wait(20)
        seen = -1
        while sent != seen:  # until nothing moves any more
            seen = sent
            time.sleep(0.2)
        assert sent < 32 << 20, "socket buffers and a few pieces"
        functions.event("gate").set()
        assert raw.read_answer()[0] == 200
    service.wait_for_closed()


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_body_streams_through_to_the_service(running: RunningGateway, service: FakeUpstream, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert running.post("/uploads", body[:size]).text == "ok"
    assert service.last.body == body[:size]


def test_a_body_that_breaks_off_is_cut_for_the_service(running: RunningGateway, service: FakeUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request_head()
        connection.read_until(b"first")
        functions.event("seen").set()
        connection.hang()

    service.script(play)
    assert running.get("/breaks_off").text == "'of the body'"
    service.wait_for_closed()


@pytest.mark.parametrize("framing", ["content-length: 11", "x: y"])
def test_an_answer_that_is_too_long_is_not_taken(running: RunningGateway, service: FakeUpstream, framing: str) -> None:
    service.answer(f"HTTP/1.1 200 OK\r\n{framing}\r\nconnection: close\r\n\r\n12345678901")
    assert running.get("/takes_little").json() == {"reason": "too_large", "code": "upstream_body_too_large"}


def test_a_stream_that_is_cut_off_cuts_the_answer_off(running: RunningGateway, service: FakeUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    service.script(play)
    with running.raw() as raw:
        raw.send("GET /streams HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not raw.read_all().endswith(b"0\r\n\r\n")


def test_an_answer_that_never_comes_ends_with_its_client(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(hang_after_head)
    with running.raw() as raw:
        raw.send("GET /streams HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        raw.reset()
    service.wait_for_closed()


def test_a_reload_in_the_middle_changes_nothing_for_a_request(
    gateway: StartGateway, service: FakeUpstream, upstream: StartUpstream
) -> None:
    other = upstream().answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother")
    running = gateway(document(service))
    with running.raw() as raw:
        raw.send("GET /two_after_another HTTP/1.1\r\nHost: x\r\n\r\n")
        assert functions.event("first").wait(20)
        running.reload(document(other))
        functions.event("reloaded").set()
        assert json.loads(raw.read_answer()[2]) == ["ok", "ok"]
    assert running.get("/does_not_catch").text == "other"


def test_many_requests_at_once_get_their_own_answers(running: RunningGateway, service: FakeUpstream) -> None:
    service.script(echo_target)
    wrong: list[str] = []

    def ask(number: int) -> None:
        for turn in range(20):
            text = running.get(f"/one/{number}-{turn}").json()["text"]
            if text != f"/users/{number}-{turn}":
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    eventually(lambda: len(service.requests) == 160)
