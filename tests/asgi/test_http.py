"""ASGI applications over HTTP: what they see, how they answer, and what happens when they do not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tidegate import ConfigError

from tests.asgi import applications
from tests.conftest import StartGateway
from tests.harness import RunningGateway, eventually

MODULE = applications.__name__
NAMES = [name for name, value in vars(applications).items() if getattr(value, "__module__", "") == MODULE]


def route(name: str, **options: object) -> dict[str, object]:
    return {"name": name, "paths": [f"/{name}"], "app": f"{MODULE}:{name}", "max_body": 100 << 20, **options}


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    kept = [
        name
        for name in NAMES
        if name.partition("_")[0] not in ("", "make", "respond", "say", "fails", "Lives", "lives")
    ]
    begun = gateway({"routes": [route(name) for name in kept]})
    applications.events.clear()
    return begun


def test_the_scope_is_complete(running: RunningGateway) -> None:
    scope = running.get("/shows/a%20b/%C3%A9?x=1&y=%20", headers={"X-Thing": "Thing"}).json()
    host, port = running.address()
    headers = dict(scope.pop("headers"))
    assert scope.pop("client")[0] == "127.0.0.1"
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/shows/a b/é",
        "raw_path": "/shows/a%20b/%C3%A9",
        "query_string": "x=1&y=%20",
        "root_path": "/shows",
        "server": ["127.0.0.1", port],
    }
    assert headers["host"] == f"{host}:{port}"
    assert headers["x-thing"] == "Thing"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-request-id"]


def test_the_length_of_a_body_is_among_the_headers(running: RunningGateway) -> None:
    assert ["content-length", "3"] in running.post("/shows", b"abc").json()["headers"]
    with running.raw() as raw:
        raw.send("POST /shows HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        headers = json.loads(raw.read_answer()[2])["headers"]
    assert ["transfer-encoding", "chunked"] in headers


def test_what_a_client_claims_to_be_is_not_believed(running: RunningGateway) -> None:
    headers = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}
    scope = running.get("/shows", headers=headers).json()
    assert (scope["scheme"], scope["client"][0]) == ("http", "127.0.0.1")
    assert ["x-forwarded-for", "127.0.0.1"] in scope["headers"]
    assert not any("10.0.0.1" in value for _, value in scope["headers"])


def test_what_a_trusted_proxy_says_is_believed(gateway: StartGateway) -> None:
    running = gateway({"trusted_proxies": ["127.0.0.0/8"], "routes": [route("shows")]})
    headers = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}
    scope = running.get("/shows", headers=headers).json()
    assert (scope["scheme"], scope["client"]) == ("https", ["10.0.0.1", 0])


@pytest.mark.parametrize(
    ("options", "path", "root"),
    [
        ({"paths": ["/a/b"]}, "/a/b/c", "/a/b"),
        ({"paths": ["/a/b"]}, "/a/b", "/a/b"),
        ({"paths": ["/a/b"], "strip_path": False}, "/a/b/c", ""),
        ({"paths": ["/"]}, "/a/b/c", ""),
        ({"paths": ["/tenants/{tenant}"]}, "/tenants/t%20x/c", "/tenants/t x"),
        ({"paths": ["~/v\\d+"]}, "/v2/c", "/v2"),
    ],
)
def test_what_the_route_takes_is_the_root_path(
    gateway: StartGateway, options: dict[str, object], path: str, root: str
) -> None:
    scope = gateway({"routes": [route("shows", **options)]}).get(path).json()
    assert scope["root_path"] == root
    assert scope["path"] == path.replace("%20", " ")


@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_a_body_streams_both_ways(running: RunningGateway, size: int) -> None:
    sent = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert running.post("/echoes", sent).body == sent


def test_a_piece_arrives_before_the_next_is_sent(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("POST /echoes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in ("one", "two"):
            raw.send(f"3\r\n{piece}\r\n")
            raw.read_until(piece.encode())
        raw.send("0\r\n\r\n")
        raw.read_until(b"0\r\n\r\n")


def test_a_body_that_waits_for_100_is_invited_when_it_is_received(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("POST /counts HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert raw.read_head()[0] == 100
        raw.send(b"abc")
        assert json.loads(raw.read_answer()[2])["bytes"] == 3


def test_a_body_past_the_limit_of_the_route_is_refused(gateway: StartGateway) -> None:
    assert gateway({"routes": [route("counts", max_body=10)]}).post("/counts", b"x" * 11).status == 413


def test_an_application_waits_for_a_slow_client(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /sends_much HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_exactly(1 << 20)
        assert len(applications.events) < 400
    eventually(lambda: not running.runner.apps.is_busy, "the application to end")
    assert len(applications.events) < 800, "send raises once nobody is there"


def test_an_answer_has_its_headers_and_length(running: RunningGateway) -> None:
    answer = running.get("/keeps_its_word")
    assert answer.body == b"abcdef"
    assert answer.headers["content-length"] == "6"
    assert [value for name, value in answer.fields if name == "x-thing"] == ["1", "2"]
    assert "connection" not in answer.headers


@pytest.mark.parametrize("path", ["/keeps_its_word", "/echoes", "/shows"])
def test_head_gets_no_body(running: RunningGateway, path: str) -> None:
    with running.raw() as raw:
        for _ in range(2):
            raw.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, _ = raw.read_answer(head=True)
            assert status == 200
        assert headers.get("content-length") == {"/keeps_its_word": "6", "/echoes": None}.get(
            path, headers.get("content-length")
        )


def test_an_application_hears_that_its_client_left(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /waits_for_the_end HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: applications.events, "the application to wait")
        raw.reset()
    eventually(lambda: len(applications.events) == 3, "the end")
    assert applications.events == ["waits", "http.disconnect", "ClientLeftError"]


def test_an_application_hears_that_its_time_is_over(gateway: StartGateway) -> None:
    applications.events.clear()
    running = gateway({"routes": [route("waits_for_the_end", timeout="5s")]})
    with running.raw() as raw:
        raw.send("GET /waits_for_the_end HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: applications.events, "the application to wait")
        running.advance(6)
        status, _, body = raw.read_answer()
    assert (status, json.loads(body)["code"]) == (504, "timeout")
    eventually(lambda: len(applications.events) == 3, "the end")


def test_work_after_the_answer_is_done(running: RunningGateway) -> None:
    assert running.get("/works_on").body == b"done"
    eventually(lambda: len(applications.events) == 2, "the work")
    assert applications.events == ["http.disconnect", "after"]


def test_an_application_that_hangs_is_cancelled_at_the_end(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: running.runner.apps.is_busy, "the application to hang")
        raw.reset()
    running.stop()
    assert applications.events == ["cancelled"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/raises", "secret detail"),
        ("/says_nothing", "returned before its answer had begun"),
        ("/says_half", "returned before its answer was complete"),
        ("/begins_twice", "unexpected ASGI message `http.response.start`: the answer has begun"),
        ("/sends_too_early", "the answer begins with `http.response.start`"),
        ("/sends_text", "the body of an ASGI message is bytes, not str"),
        ("/splits_the_answer", "the value of header `x-thing` has control characters"),
        ("/promises_more", "content-length says 10, and the body has 5"),
        ("/promises_less", "the body is not as long as its `content-length` says"),
    ],
)
def test_what_goes_wrong_before_the_answer_is_a_500(
    running: RunningGateway, path: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    if path == "/promises_less":
        with running.raw() as raw:
            raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"longer" not in raw.read_all()
    else:
        answer = running.get(path)
        assert (answer.status, answer.code) == (500, "handler_failed")
        assert b"secret" not in answer.body
    (record,) = (record for record in caplog.records if record.name == "tidegate.apps")
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert reason in str(record.exc_info[1])


def test_what_goes_wrong_later_cuts_the_answer_off(running: RunningGateway) -> None:
    with running.raw() as raw:
        raw.send("GET /raises_late HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not raw.read_all().endswith(b"0\r\n\r\n")


def test_a_message_after_the_end_changes_nothing(running: RunningGateway) -> None:
    assert running.get("/sends_after_the_end").body == b"whole"
    eventually(lambda: applications.events, "the mistake")
    assert "the answer is complete" in applications.events[0]


def test_the_object_itself_is_an_application(gateway: StartGateway) -> None:
    from tidegate import Gateway, Route

    running = gateway(Gateway(routes=[Route(name="a", paths=["/a"], app=applications.shows)], access_log="off"))
    assert running.get("/a/b").json()["root_path"] == "/a"


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("absent", f"module `{MODULE}` has no `absent`", None),
        ("show", f"module `{MODULE}` has no `show`", "did you mean `shows`?"),
        ("events", f"module `{MODULE}` has not a function: `events`", None),
        (
            "make",
            f"`{MODULE}:make` is no ASGI 3 application: it does not take scope, receive and send",
            f"for a function that makes an application write `{MODULE}:make()`",
        ),
        ("make_of()", f"`{MODULE}:make_of()` needs arguments, and is called without any", None),
        ("make_nothing()", f"`{MODULE}:make_nothing()` made no application, but NoneType", None),
    ],
)
def test_what_is_no_application_is_a_problem_with_its_line(
    gateway: StartGateway, reference: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as raised:
        gateway(f"routes:\n  - name: a\n    paths: [/]\n    app: {MODULE}:{reference}\n")
    (problem,) = raised.value.problems
    assert (problem.message, problem.line) == (message, 4)
    if hint is not None:
        assert problem.hint == hint


def test_the_application_calls_services_by_name(gateway: StartGateway, tmp_path: Path) -> None:
    from tests.harness import FakeUpstream

    service = FakeUpstream()
    try:
        running = gateway(
            {
                "services": [{"name": "orders", "url": service.url}],
                "routes": [{"name": "a", "paths": ["/a"], "app": "tests.asgi.frameworks:bff"}],
            }
        )
        answer = running.get("/a/orders/7", headers={"x-request-id": "mine"})
        assert answer.json()["asked"] == "/orders/7"
    finally:
        service.stop()
