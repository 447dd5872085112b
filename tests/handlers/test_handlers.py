"""Handlers: what they are given, what they may return, and what happens when they fail, wait or are left."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway
from tests.handlers import functions
from tests.harness import RunningGateway, eventually

NAMES = [
    name
    for name, value in vars(functions).items()
    if callable(value) and getattr(value, "__module__", "") == functions.__name__ and name not in ("event", "Callable")
]


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    functions.events.clear()
    return gateway(
        {
            "policies": {"request_id": {}},
            "routes": [
                {
                    "name": name,
                    "paths": [f"/{name}", f"/{name}/{{id}}"],
                    "handler": f"tests.handlers.functions:{name}",
                    "max_body": 100 << 20,
                }
                for name in NAMES
            ],
        }
    )


def test_a_handler_sees_the_request(running: RunningGateway) -> None:
    headers = {"X-Thing": "1", "Cookie": "a=1; b=2; a=3"}
    seen = running.get("/head/a%20b?x=1&x=2&y=", headers=headers).json()
    host, port = running.address()
    assert seen == {
        "method": "GET",
        "path": "/head/a%20b",
        "params": {"id": "a b"},
        "query": [["x", "1"], ["x", "2"], ["y", ""]],
        "cookies": {"a": "1", "b": "2"},
        "thing": "1",
        "things": ["1"],
        "client": "127.0.0.1",
        "host": f"{host}:{port}",
        "url": f"http://{host}:{port}/head/a%20b?x=1&x=2&y=",
        "route": "head",
    }


def test_repeated_headers_all_arrive(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /head HTTP/1.1\r\nHost: x\r\nX-Thing: 1\r\nx-thing: 2\r\n\r\n")
        assert json.loads(raw.read_answer()[2])["things"] == ["1", "2"]


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000, 3_000_000])
def test_a_body_arrives_whole(running: RunningGateway, size: int) -> None:
    sent = bytes(range(256)) * (size // 256 + 1)
    assert running.post("/body", sent[:size]).body == sent[:size]


@pytest.mark.parametrize("path", ["/body", "/count", "/plain"])
def test_a_body_in_small_pieces_arrives_whole(running: RunningGateway, path: str) -> None:
    with running.raw() as raw:
        raw.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        raw.send(b"a", b"bc", b"def")
        status, _, body = raw.read_answer()
    assert status == 200
    assert {"/body": b"abcdef", "/count": b'{"bytes":6}'}.get(path, body) == body


def test_a_large_body_streams_into_the_handler(running: RunningGateway) -> None:
    assert running.post("/count", b"x" * (20 << 20)).json() == {"bytes": 20 << 20}


def test_a_body_that_waits_for_100_is_invited_when_it_is_read(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert raw.read_head()[0] == 100
        raw.send(b"abc")
        assert raw.read_answer()[2] == b"abc"


def test_a_body_that_is_not_read_does_not_spoil_the_connection(running: RunningGateway) -> None:
    with running.raw() as raw:
        for _ in range(3):
            raw.send("POST /text HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert raw.read_answer()[0] == 200


def test_json_is_read(running: RunningGateway) -> None:
    assert running.post("/body_json", '{"a": [1, null]}').json() == {"a": [1, None]}


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/body_json", '{"a": ', "the body is not JSON: EOF while parsing"),
        ("/body_json", "", "the body is not JSON: EOF while parsing"),
        ("/body_json", b"\xff", "the body is not JSON: "),
        ("/plain_json", "[1,", "the body is not JSON: EOF while parsing"),
        ("/body_text", b"ab\xff", "the body is not UTF-8: byte 2 begins no character"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400(
    gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, body: bytes | str, detail: str
) -> None:
    log = tmp_path / "access.log"
    route = {"name": "r", "paths": ["/"], "handler": f"tests.handlers.functions:{path[1:]}"}
    running = gateway({"access_log": {"file": str(log)}, "routes": [route]})
    answer = running.post("/", body)
    assert (answer.status, answer.code) == (400, "bad_content")
    assert not caplog.records, "a client cannot fill the log of events"
    running.stop()
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["reason"] == "bad_content"
    assert line["detail"].startswith(f"handler tests.handlers.functions:{path[1:]}: {detail}")


def test_a_handler_may_answer_to_a_body_that_cannot_be_read(running: RunningGateway) -> None:
    answer = running.post("/body_json_or_else", "{")
    assert (answer.status, answer.text) == (422, "the body is not JSON")


@pytest.mark.parametrize(
    ("path", "status", "content_type", "body"),
    [
        ("/text", 200, "text/plain; charset=utf-8", "héllo".encode()),
        ("/body", 200, "application/octet-stream", b""),
        ("/listing", 200, "application/json", b"[1,2,3]"),
        ("/response", 201, "application/json", b'{"id":7}'),
        ("/empty", 204, None, b""),
        ("/plain_stream", 200, "text/plain; charset=utf-8", b"0;1;2;"),
        ("/uses_a_task", 200, "text/plain; charset=utf-8", b"from a task"),
        ("/instance", 200, "text/plain; charset=utf-8", b"called /instance"),
        ("/framing", 200, "text/plain; charset=utf-8", b"four"),
    ],
)
def test_what_a_handler_returns_is_the_answer(
    running: RunningGateway, path: str, status: int, content_type: str | None, body: bytes
) -> None:
    answer = running.get(path)
    assert (answer.status, answer.headers.get("content-type"), answer.body) == (status, content_type, body)


def test_a_response_has_its_headers(running: RunningGateway) -> None:
    fields = running.get("/response").fields
    assert [value for name, value in fields if name == "set-cookie"] == ["a=1", "b=2"]
    assert ("location", "/orders/7") in fields


def test_head_gets_the_length_and_no_body(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("HEAD /listing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status, headers = raw.read_head()
        assert (status, headers["content-length"], raw.read_all()) == (200, "7", b"")


def test_a_plain_function_runs_on_a_thread(running: RunningGateway) -> None:
    assert running.post("/plain", b"abc").text.startswith("tidegate-handler-")


def test_a_plain_function_may_return_a_coroutine(running: RunningGateway) -> None:
    assert running.post("/returns_coroutine", b"abc").body == b"abc"


def test_a_plain_function_that_blocks_stops_no_other_handler(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /blocks HTTP/1.1\r\nHost: x\r\n\r\n")
        assert functions.event("blocks began").wait(20)
        assert running.get("/text").status == 200
        assert running.post("/plain", b"abc").status == 200
        functions.event("unblock").set()
        assert raw.read_answer()[2] == b"unblocked"


def test_a_piece_of_a_stream_arrives_before_the_next_is_made(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /gated HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_until(b"one;")
        functions.event("gate").set()
        raw.read_until(b"two;")
        raw.read_until(b"0\r\n\r\n")


def test_a_stream_waits_for_a_slow_client_and_is_closed_when_it_leaves(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_exactly(1 << 20)
        assert not functions.event("endless closed").is_set()
    assert functions.event("endless closed").wait(20)


def test_a_handler_is_cancelled_when_its_client_leaves(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        assert functions.event("waits began").wait(20)
        raw.reset()
    assert functions.event("waits cancelled").wait(20)


def test_a_handler_is_cancelled_when_the_time_of_its_route_is_over(gateway: StartGateway) -> None:
    functions.events.clear()
    route = {"name": "waits", "paths": ["/"], "handler": "tests.handlers.functions:waits", "timeout": "5s"}
    running = gateway({"routes": [route]})
    with running.raw() as raw:
        raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert functions.event("waits began").wait(20)
        running.advance(6)
        status, _, body = raw.read_answer()
    assert (status, json.loads(body)["code"]) == (504, "timeout")
    assert functions.event("waits cancelled").wait(20)


def test_what_one_request_puts_into_a_context_no_other_sees(running: RunningGateway) -> None:
    assert [running.get("/sets_context").text for _ in range(3)] == ["untouched"] * 3


@pytest.mark.parametrize("path", ["/fails", "/fails_before_the_first_piece", "/nothing", "/bad_header", "/leaves"])
def test_a_failure_is_a_500_with_an_id_and_a_traceback_in_the_log(
    running: RunningGateway, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = running.get(path)
    assert (answer.status, answer.code) == (500, "handler_failed")
    assert b"secret" not in answer.body
    identifier = answer.json()["request_id"]
    record = next(record for record in caplog.records if record.name == "tidegate.handlers")
    assert record.levelno == logging.ERROR
    assert identifier in record.getMessage()
    assert record.exc_info is not None


def test_a_failure_in_the_middle_of_a_stream_cuts_it_off(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /fails_late HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_head()[0] == 200
        raw.read_until(b"first;")
        functions.event("gate").set()
        assert raw.read_all() == b"\r\n"


def test_many_requests_at_once_get_their_own_answers(running: RunningGateway) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        with running.raw() as raw:
            for turn in range(20):
                body = f"{number}-{turn}"
                raw.send(f"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}")
                if raw.read_answer()[2] != body.encode():
                    wrong.append(body)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong


def test_more_jobs_than_may_wait_are_refused(gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    functions.events.clear()
    monkeypatch.setattr("tidegate.extend.runner.WAITING_JOBS", 2)
    monkeypatch.setattr("tidegate.extend.runner.THREADS", 1)
    running = gateway({"routes": [{"name": "blocks", "paths": ["/"], "handler": "tests.handlers.functions:blocks"}]})
    raws = [running.raw() for _ in range(4)]
    raws[0].send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert functions.event("blocks began").wait(20)
    for raw in raws[1:]:
        raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    refused = eventually(lambda: [body for body in _arrived(raws) if b"handler_overloaded" in body], "a refusal")
    assert len(refused) == 1
    functions.event("unblock").set()
    for raw in raws:
        raw.close()


def _arrived(raws: list) -> list[bytes]:  # type: ignore[type-arg]
    for raw in raws:
        raw.socket.setblocking(False)
        try:
            raw.buffer += raw.socket.recv(65536)
        except BlockingIOError:
            continue
    return [raw.buffer for raw in raws]


def test_a_reload_keeps_handlers_apart(gateway: StartGateway) -> None:
    route = {"name": "a", "paths": ["/a"], "handler": "tests.handlers.functions:text"}
    running = gateway({"routes": [route]})
    assert running.get("/a").text == "héllo"
    first = {"name": "b", "paths": ["/b"], "handler": "tests.handlers.functions:listing"}
    running.reload({"routes": [first, route]})
    assert running.get("/a").text == "héllo"
    assert running.get("/b").json() == [1, 2, 3]


def test_a_handler_that_is_nearly_there_is_named(gateway: StartGateway) -> None:
    with pytest.raises(ConfigError) as raised:
        gateway({"routes": [{"name": "a", "paths": ["/"], "handler": "tests.handlers.functions:txet"}]})
    assert raised.value.problems[0].hint == "did you mean `text`?"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("tests.handlers.functions:absent", "module `tests.handlers.functions` has no `absent`"),
        ("tests.handlers.absent:text", "there is no module `tests.handlers.absent`"),
        ("tests.handlers.functions:events", "module `tests.handlers.functions` has not a function: `events`"),
    ],
)
def test_a_handler_that_cannot_be_found_is_a_problem_with_its_line(
    gateway: StartGateway, reference: str, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        gateway(f"routes:\n  - name: a\n    paths: [/]\n    handler: {reference}\n")
    (problem,) = raised.value.problems
    assert (problem.code, problem.message, problem.line) == ("config.unknown_handler", message, 4)
