"""What becomes of an answer when calls fail, are late, or are not wanted any more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tidegate import Response
from tidegate.testing.raw import Raw
from tidegate.testing.waiting import eventually

from tests.compose.scene import WAIT, Gate, Scene, call, document

OPTIONAL = {"calls": {"a": call("/a"), "b": call("/b", optional=True)}, "response": {"a": "{a}", "b": "{b}"}}


def failing(status: int) -> Gate:
    return Gate(Response(status=status))


# ---- what a failure is

ODD: dict[str, dict[str, Any]] = {
    "no JSON": {"text": "<html>", "reason": "not_json"},
    "nothing": {"body": b"", "reason": "not_json"},
    "two values": {"text": "1 2", "reason": "not_json"},
    "not a number": {"text": "NaN", "reason": "not_json"},
    "no UTF-8": {"body": b'"\xff"', "reason": "not_json"},
    "a half": {"text": '{"a": ', "reason": "not_json"},
    "deep": {"text": "[" * 65 + "]" * 65, "reason": "too_deep"},
    "long": {"text": '"' + "x" * 2_000 + '"', "reason": "too_large"},
    "a redirect": {"status": 302, "headers": {"location": "/b/elsewhere"}, "reason": "redirect;status=302"},
    "compressed": {"text": "{}", "headers": {"content-encoding": "gzip"}, "reason": "not_json"},
    "an error": {"status": 418, "text": "short", "reason": "status;status=418"},
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_is_a_failure_of_its_call(odd: str) -> None:
    options = dict(ODD[odd])
    reason = options.pop("reason")
    with Scene(main={**OPTIONAL, "max_answer": 1024}) as scene:
        scene.answers({"/a": {"x": 1}})
        scene.service.get("/b").returns(options.pop("status", 200), **options)
        answer = scene.gateway.get("/")
        answer.expect(200, headers={"tidegate-partial": f"b;reason={reason}", "cache-control": "no-store"})
        assert answer.json() == {"a": {"x": 1}, "b": None}
        assert scene.paths().count("/b") == len(scene.paths()) - 1
        result = reason.partition(";")[0]
        assert scene.series("tidegate_compose_calls_total", route="main", call="b", result=result) == 1


def test_odd_json_passes_as_it_is() -> None:
    texts = ['{"a":1,"a":2}', "[" * 64 + "]" * 64, "123456789012345678901234567890", '"\\ud83d\\ude00"', "-0.0e-7"]
    with Scene(main={"calls": {"a": call("/a")}, "response": "{a}"}) as scene:
        for text in texts:
            scene.service.get("/a").returns(text=text)
            assert scene.gateway.get("/").text == text


@pytest.mark.parametrize("status", [204, 205])
def test_no_content_is_null(status: int) -> None:
    with Scene(main=OPTIONAL) as scene:
        scene.answers({"/a": 1})
        scene.service.get("/b").returns(status)
        answer = scene.gateway.get("/").expect(200, headers={"tidegate-partial": None})
        assert answer.json() == {"a": 1, "b": None}


def test_cookies_of_a_call_go_nowhere() -> None:
    with Scene(main=OPTIONAL) as scene:
        scene.service.get("/a").returns(
            json=1, headers={"set-cookie": "a=b", "x-inner": "1", "cache-control": "max-age=9"}
        )
        scene.service.get("/b").returns(json=2)
        scene.gateway.get("/").expect(200, headers={"set-cookie": None, "x-inner": None, "cache-control": None})


def test_what_is_a_success_can_be_told() -> None:
    calls = {"a": call("/a", expect=[404, "500-502"]), "b": call("/b", expect=[404], optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}"]}) as scene:
        scene.service.get("/a").returns(501, json={"odd": True})
        scene.service.get("/b").returns(200, json={})
        answer = scene.gateway.get("/").expect(200, headers={"tidegate-partial": "b;reason=status;status=200"})
        assert answer.json() == [{"odd": True}, None]


def test_what_needs_a_call_that_failed_says_so() -> None:
    calls = {
        "user": call("/user", optional=True),
        "points": call("/points/{user.id}", optional=True),
        "more": call("/more", query={"user": "{user.id}"}),
        "_odd": call("/odd/{user.id}", optional=True),
    }
    response = {"points": "{points}", "more": "{more}", "odd": "{_odd}"}
    with Scene(main={"calls": calls, "response": response, "errors": True}) as scene:
        scene.service.get("/user").fails(500)
        scene.answers({"/more": "x"})
        answer = scene.gateway.get("/")
        partial = 'user;reason=status;status=500, points;reason=needs;of=user, "_odd";reason=needs;of=user'
        answer.expect(200, headers={"tidegate-partial": partial})
        assert answer.json()["more"] == "x"
        assert answer.json()["errors"] == [
            {"call": "user", "reason": "status", "status": 500},
            {"call": "points", "reason": "needs", "of": "user"},
            {"call": "_odd", "reason": "needs", "of": "user"},
        ]
        assert scene.paths() == ["/user", "/more"]


def test_a_default_stands_in_the_place_of_an_answer() -> None:
    calls = {"user": call("/user", default={"id": 0}), "points": call("/points/{user.id}")}
    with Scene(main={"calls": calls, "response": ["{user}", "{points}"]}) as scene:
        scene.service.get("/user").fails(500)
        scene.answers({"/points/0": "none"})
        answer = scene.gateway.get("/").expect(200, headers={"tidegate-partial": "user;reason=status;status=500"})
        assert answer.json() == [{"id": 0}, "none"]


def test_the_services_own_error_passes_where_it_may() -> None:
    calls = {"a": call("/a", on_error="pass")}
    with Scene(main={"calls": calls, "response": "{a}"}) as scene:
        for status, told in [(404, 404), (409, 409), (500, 502), (503, 502), (302, 502)]:
            scene.service.get("/a").returns(status)
            answer = scene.gateway.get("/").expect(told, code="compose_failed")
            assert answer.json()["status"] == told
            assert answer.json()["upstream_status"] == status
            assert answer.json()["request_id"]


# ---- fallback calls


def test_another_call_takes_the_place_of_one_that_failed() -> None:
    calls = {
        "new": call("/new", fallback="old"),
        "old": call("/old/{key.id}"),
        "key": call("/key"),
        "after": call("/after/{new.id}"),
    }
    with Scene(main={"calls": calls, "response": {"new": "{new}", "after": "{after}"}}) as scene:
        scene.answers({"/key": {"id": 5}, "/old/5": {"id": 6}, "/after/6": "x", "/new": {"id": 1}, "/after/1": "y"})
        assert scene.gateway.get("/").json() == {"new": {"id": 1}, "after": "y"}
        assert scene.paths() == ["/new", "/after/1"]
        scene.service.get("/new").fails(503)
        answer = scene.gateway.get("/").expect(200, headers={"tidegate-partial": None})
        assert answer.json() == {"new": {"id": 6}, "after": "x"}
        assert scene.paths()[2:] == ["/new", "/key", "/old/5", "/after/6"]
        assert scene.series("tidegate_compose_calls_total", call="new", result="fallback") == 1


def test_a_fallback_that_fails_leaves_the_first_failure() -> None:
    calls = {
        "new": call("/new", fallback="old", optional=True),
        "old": call("/old", fallback="older"),
        "older": call("/older"),
    }
    with Scene(main={"calls": calls, "response": {"new": "{new}"}}) as scene:
        scene.service.get("/new").fails(503)
        scene.service.get("/old").fails(500)
        scene.service.get("/older").fails(501)
        answer = scene.gateway.get("/")
        answer.expect(200, json={"new": None}, headers={"tidegate-partial": "new;reason=status;status=503"})
        assert scene.paths() == ["/new", "/old", "/older"]


# ---- ends


def test_a_call_that_the_answer_needs_ends_the_others() -> None:
    calls = {"a": call("/a"), "b": call("/b"), "c": call("/c", optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}", "{c}"]}) as scene:
        gate = failing(500)
        scene.service.get("/a").answers(gate)
        scene.service.get("/b").hangs()
        scene.service.get("/c").hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(3)
        gate.open()
        asked.result(WAIT).expect(502, code="compose_failed", json={"call": "a", "upstream_status": 500})
        # Those of `b` and `c`; that of `a` may be used again.
        scene.service.wait_for_closed(2)
        assert scene.series("tidegate_compose_calls_total", call="b", result="cancelled") == 1


def test_a_client_that_leaves_cancels_all_calls() -> None:
    with Scene(main=OPTIONAL) as scene:
        scene.service.any().hangs()
        with Raw(scene.gateway.address()) as client:
            client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            scene.service.wait_for_requests(2)
            client.reset()
        scene.service.wait_for_closed(2)
        eventually(lambda: scene.series("tidegate_requests_total", route="main", code="499") == 1)
        assert scene.series("tidegate_compose_calls_total", call="a", result="cancelled") == 1


def test_a_call_that_is_late_is_left_out() -> None:
    calls = {"a": call("/a"), "b": call("/b", optional=True, timeout="300ms"), "c": call("/c/{b.id}", optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}", "{c}"], "timeout": "10s"}) as scene:
        scene.answers({"/a": 1})
        scene.service.get("/b").hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(2)
        scene.gateway.advance(0.31)
        answer = asked.result(WAIT)
        answer.expect(200, headers={"tidegate-partial": "b;reason=timeout, c;reason=needs;of=b"})
        assert answer.json() == [1, None, None]
        scene.service.wait_for_closed(1)


def test_a_call_without_a_timeout_has_that_of_its_service() -> None:
    text = document(main=OPTIONAL).replace(
        '"url": "http://s.internal"', '"url": "http://s.internal", "timeout": "500ms"'
    )
    with Scene(text) as scene:
        scene.answers({"/a": 1})
        scene.service.get("/b").hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(2)
        scene.gateway.advance(0.51)
        asked.result(WAIT).expect(200, headers={"tidegate-partial": "b;reason=timeout"})


def test_one_deadline_holds_for_all() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a.id}", timeout="9s"), "c": call("/c", optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}", "{c}"], "timeout": "1s"}) as scene:
        gate = Gate({"id": 1})
        scene.service.get("/a").answers(gate)
        scene.service.get("/b/1").hangs()
        scene.service.get("/c").hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(2)
        scene.gateway.advance(0.6)
        gate.open()
        scene.service.wait_for_requests(3)
        # The second call gets what is left.
        scene.gateway.advance(0.41)
        asked.result(WAIT).expect(504, code="compose_timeout", json={"reason": "timeout"})


def test_no_call_begins_behind_the_deadline() -> None:
    calls = {"a": call("/a", optional=True), "b": call("/b", query={"a": "{a.id}"}, optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}"], "timeout": "1s"}) as scene:
        scene.service.get("/a").hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(1)
        scene.gateway.advance(1.1)
        asked.result(WAIT).expect(200, headers={"tidegate-partial": "a;reason=timeout, b;reason=timeout"})
        assert scene.paths() == ["/a"]


# ---- limits


def test_so_many_requests_make_an_answer_and_no_more() -> None:
    calls = {"list": call("/list"), "each": call("/each/{item}", for_each="{list}", optional=True)}
    with Scene(main={"calls": calls, "response": "{each}", "max_calls": 3}) as scene:
        scene.service.get("/each/{item}").returns(json=0)
        for count, paths in [(2, 3), (3, 1), (10_000, 1)]:
            before = len(scene.paths())
            scene.answers({"/list": list(range(count))})
            answer = scene.gateway.get("/")
            if count == 2:
                assert answer.json() == [0, 0]
            else:
                answer.expect(200, headers={"tidegate-partial": "each;reason=limit"}, json=None)
            assert len(scene.paths()) - before == paths


def test_ten_thousand_equal_items_are_one_request() -> None:
    calls = {"list": call("/list"), "each": call("/each/{item}", for_each="{list}")}
    with Scene(main={"calls": calls, "response": "{each}"}) as scene:
        scene.answers({"/list": [7] * 10_000, "/each/7": [True]})
        assert scene.gateway.get("/").json() == [[True]] * 10_000
        assert scene.paths() == ["/list", "/each/7"]


# ---- what is around


def test_a_reload_in_the_middle_changes_nothing_of_what_began() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a.id}")}
    with Scene(main={"calls": calls, "response": {"old": "{b}"}}) as scene:
        gate = Gate({"id": 1})
        scene.service.get("/a").answers(gate)
        scene.answers({"/b/1": 1, "/c": 2})
        asked = scene.ask()
        scene.service.wait_for_requests(1)
        scene.gateway.reload(document(main={"calls": {"c": call("/c")}, "response": {"new": "{c}"}}))
        assert scene.gateway.get("/").json() == {"new": 2}
        gate.open()
        assert asked.result(WAIT).json() == {"old": 1}


def test_a_clients_body_can_be_referred_to() -> None:
    calls = {
        "a": call(
            "/a/{body.id}",
            method="POST",
            body={"name": "{body.user.name}", "all": "{body}"},
            headers={"x": "{body.id}"},
        )
    }
    with Scene(main={"calls": calls, "response": "{a}"}) as scene:
        scene.service.post("/a/7").answers(lambda request: {"got": request.json(), "x": request.headers["x"]})
        body = {"id": 7, "user": {"name": 'a"b'}}
        answer = scene.gateway.post("/", json.dumps(body).encode(), headers={"content-type": "application/json"})
        assert answer.json() == {"got": {"name": 'a"b', "all": body}, "x": "7"}
        scene.gateway.post("/", b"{").expect(400, code="bad_content")
        assert len(scene.paths()) == 1


def test_timing_shows_the_graph_where_it_may() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a.id}"), "c": call("/c", when={"{query.c}": True})}
    with Scene(main={"calls": calls, "response": ["{b}", "{c}"], "server_timing": True}) as scene:
        scene.answers({"/a": {"id": 1}, "/b/1": 2})
        timing = scene.gateway.get("/").headers["server-timing"].split(", ")
        assert [entry.partition(";")[0] for entry in timing] == ["a", "b"]
        assert timing[1].endswith(';desc="after a"')
        assert scene.series("tidegate_compose_critical_total", call="b") == 1
        assert scene.series("tidegate_compose_call_seconds_count", call="b") == 1
        assert scene.series("tidegate_compose_calls_total", call="c", result="skipped") == 1


def test_a_call_goes_the_way_that_all_calls_go() -> None:
    text = document(main=OPTIONAL).replace(
        '"url": "http://s.internal"', '"url": "http://s.internal", "retries": {"attempts": 1, "on": ["reset", 503]}'
    )
    with Scene(text) as scene:
        scene.service.get("/a").fails(503).then(json=1)
        scene.service.get("/b").closes().then(json=2)
        assert scene.gateway.get("/").json() == {"a": 1, "b": 2}
        assert len(scene.paths()) == 4
