"""In which order calls are made: at once where they can be, and the moment that what they need is there."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tidegate import Response
from tidegate.testing.message import Recorded

from tests.compose.scene import WAIT, Gate, Scene, call, meeting


def test_calls_that_need_nothing_are_under_way_together() -> None:
    calls = {name: call(f"/{name}") for name in ("a", "b", "c")}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}", "{c}"]}) as scene:
        scene.service.any().answers(meeting(3, {"x": 1}))
        assert scene.gateway.get("/").json() == [{"x": 1}] * 3


def test_a_call_waits_for_what_it_needs_and_for_nothing_else() -> None:
    calls = {"a": call("/a"), "slow": call("/slow"), "after": call("/after/{a.id}")}
    with Scene(main={"calls": calls, "response": ["{slow}", "{after}"]}) as scene:
        slow = Gate({"slow": True})
        scene.service.get("/a").returns(json={"id": 7})
        scene.service.get("/slow").answers(slow)

        def after(_: Recorded) -> Any:
            slow.open()
            return {"after": True}

        scene.service.get("/after/7").answers(after)
        assert scene.gateway.get("/").json() == [{"slow": True}, {"after": True}]


def test_a_chain_is_asked_in_its_order() -> None:
    calls = {"c": call("/c/{b.next}"), "b": call("/b/{a.next}"), "a": call("/a")}
    with Scene(main={"calls": calls, "response": "{c}"}) as scene:
        scene.answers({"/a": {"next": 1}, "/b/1": {"next": 2}, "/c/2": {"end": True}})
        assert scene.gateway.get("/").json() == {"end": True}
        assert scene.paths() == ["/a", "/b/1", "/c/2"]


def test_a_call_may_need_several() -> None:
    calls = {"a": call("/a"), "b": call("/b"), "both": call("/both", query={"a": "{a.x}", "b": "{b.x}"})}
    with Scene(main={"calls": calls, "response": "{both}"}) as scene:
        scene.answers({"/a": {"x": 1}, "/b": {"x": [2, 3]}, "/both": "done"})
        assert scene.gateway.get("/").json() == "done"
        assert scene.paths()[2:] == ["/both?a=1&b=2&b=3"]


def test_what_the_answer_does_not_need_is_not_called() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a.id}"), "c": call("/c")}
    views = {"small": {"when": {"{query.small}": True}, "response": {"a": "{a.id}"}}}
    with Scene(main={"calls": calls, "response": {"b": "{b}", "c": "{c}"}, "views": views, "fields": True}) as scene:
        scene.answers({"/a": {"id": 1}, "/b/1": 2, "/c": 3})
        for query, value, paths in [
            ({"small": ""}, {"a": 1}, ["/a"]),
            ({"fields": "c"}, {"c": 3}, ["/c"]),
            ({"fields": "b"}, {"b": 2}, ["/a", "/b/1"]),
            ({"fields": "nothing"}, {}, []),
        ]:
            before = len(scene.paths())
            assert scene.gateway.get("/", query=query).json() == value
            assert scene.paths()[before:] == paths, query


def test_what_a_request_would_call_is_explained() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a.id}"), "c": call("/c")}
    views = {"small": {"when": {"{header.x-client}": "phone"}, "response": "{a}"}}
    with Scene(main={"calls": calls, "response": {"b": "{b}", "c": "{c}"}, "views": views, "fields": True}) as scene:
        for target, headers, composed in [
            ("/", {}, {"view": None, "calls": ["a", "b", "c"]}),
            ("/?fields=c", {}, {"view": None, "calls": ["c"]}),
            ("/", {"x-client": "phone"}, {"view": "small", "calls": ["a"]}),
        ]:
            assert scene.gateway.explain("GET", target, headers)["composed"] == composed
        assert "fields" in scene.gateway.explain("GET", "/?fields=.")["reason"]


@pytest.mark.parametrize("fields", ["a..b", ",", ".", "a,", "%ff"])
def test_fields_that_are_no_list_of_names_are_refused(fields: str) -> None:
    with Scene(main={"calls": {"a": call("/a")}, "response": {"a": "{a}"}, "fields": True}) as scene:
        scene.gateway.get(f"/?fields={fields}").expect(400, code="bad_content")
        assert scene.paths() == []


# ---- lists


def items(**options: Any) -> dict[str, Any]:
    calls = {"list": call("/list"), "each": call("/each/{item}", for_each="{list}", **options)}
    return {"calls": calls, "response": "{each}", "errors": True}


def test_the_answers_to_a_list_stand_in_its_order() -> None:
    with Scene(main=items(concurrency=4)) as scene:
        order = [3, 1, 4, 1, 5]
        scene.answers({"/list": order})
        # Each waits for the one that is asked for next, so that the last one answers first.
        behind = {3: 1, 1: 4, 4: 5}
        done = {item: threading.Event() for item in order}

        def answer(request: Recorded) -> Any:
            item = int(request.params["item"])
            if item in behind:
                assert done[behind[item]].wait(WAIT)
            done[item].set()
            return {"item": item}

        scene.service.get("/each/{item}").answers(answer)
        assert scene.gateway.get("/").json() == [{"item": item} for item in order]
        assert len(scene.paths()) == 5


def test_so_many_of_a_list_are_under_way_and_no_more() -> None:
    with Scene(main=items(concurrency=2)) as scene:
        scene.answers({"/list": list(range(6))})
        lock, now, most = threading.Lock(), [0], [0]
        pair = threading.Barrier(2)

        def answer(request: Recorded) -> Any:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            pair.wait(WAIT)
            with lock:
                now[0] -= 1
            return {"item": request.params["item"]}

        scene.service.get("/each/{item}").answers(answer)
        assert scene.gateway.get("/").json() == [{"item": str(item)} for item in range(6)]
        assert most == [2]


def test_equal_requests_of_a_list_are_one() -> None:
    with Scene(main=items()) as scene:
        scene.answers({"/list": ["x", "y", "x", "x"], "/each/x": 1, "/each/y": 2})
        assert scene.gateway.get("/").json() == [1, 2, 1, 1]
        assert sorted(scene.paths()[1:]) == ["/each/x", "/each/y"]


def test_equal_requests_may_be_wanted() -> None:
    with Scene(main=items(distinct=False)) as scene:
        scene.answers({"/list": ["x", "x"], "/each/x": 1})
        assert scene.gateway.get("/").json() == [1, 1]
        assert scene.paths()[1:] == ["/each/x", "/each/x"]


def test_an_empty_list_costs_nothing() -> None:
    with Scene(main=items()) as scene:
        scene.answers({"/list": []})
        assert scene.gateway.get("/").json() == []
        assert scene.paths() == ["/list"]


@pytest.mark.parametrize("value", [None, {}, "x", 1])
def test_what_is_no_list_cannot_be_gone_through(value: Any) -> None:
    with Scene(main=items()) as scene:
        scene.answers({"/list": value})
        scene.gateway.get("/").expect(502, code="compose_failed", json={"call": "each", "reason": "missing_field"})


def test_one_of_a_list_that_fails_leaves_a_gap() -> None:
    with Scene(main=items(optional=True, default={"none": True})) as scene:
        scene.answers({"/list": ["a", "b", None, "c"], "/each/a": 1, "/each/c": 3})
        scene.service.get("/each/b").fails(500)
        answer = scene.gateway.get("/")
        answer.expect(200, headers={"tidegate-partial": "each;reason=status;status=500;count=2"})
        assert answer.json() == [1, {"none": True}, {"none": True}, 3]


def test_one_of_a_list_that_fails_ends_the_others_where_it_is_needed() -> None:
    with Scene(main=items()) as scene:
        scene.answers({"/list": ["a", "b", "c"]})
        failing = Gate(Response(status=500))
        for item, rule in {"a": None, "b": failing, "c": None}.items():
            made = scene.service.get(f"/each/{item}")
            made.answers(rule) if rule else made.hangs()
        asked = scene.ask()
        scene.service.wait_for_requests(4)
        failing.open()
        asked.result(WAIT).expect(502, json={"call": "each", "reason": "status", "upstream_status": 500})
        scene.service.wait_for_closed(2)


# ---- sharing


def test_equal_requests_of_different_calls_are_one_where_they_may_be() -> None:
    calls = {name: call("/same", query={"x": "1"}, cache_for="request") for name in ("a", "b")}
    calls["later"] = call("/same", query={"x": "{a.one}"}, cache_for="request")
    calls["own"] = call("/same", query={"x": "1"})
    with Scene(main={"calls": calls, "response": ["{a}", "{b}", "{later}", "{own}"]}) as scene:
        scene.service.get("/same").returns(json={"one": 1})
        assert scene.gateway.get("/").json() == [{"one": 1}] * 4
        assert scene.paths() == ["/same?x=1"] * 2


def test_a_request_that_was_cancelled_is_made_again_for_who_wants_it() -> None:
    calls = {
        "list": call("/list"),
        "each": call("/each/{item}", for_each="{list}", optional=True, cache_for="request", fallback="spare"),
        "spare": call("/spare"),
        "later": call("/each/{each.again}", cache_for="request"),
    }
    with Scene(main={"calls": calls, "response": "{later}"}) as scene:
        failing = Gate(Response(status=500))
        scene.answers({"/list": ["a", "b"], "/spare": {"again": "a"}})
        scene.service.get("/each/a").hangs().then(json="a")
        scene.service.get("/each/b").answers(failing)
        asked = scene.ask()
        scene.service.wait_for_requests(3)
        failing.open()
        assert asked.result(WAIT).json() == "a"


# ---- conditions


def test_a_call_whose_condition_does_not_hold_is_not_made() -> None:
    calls = {
        "user": call("/user"),
        "points": call("/points/{user.id}", when={"{user.tier}": ["gold", "~plat.*"]}, default=0),
        "gift": call("/gift/{points.best}", when="user.tier == 'platinum'"),
        "after": call("/after/{gift.id}"),
    }
    response = {"points": "{points}", "gift": "{gift}", "after": "{after}"}
    with Scene(main={"calls": calls, "response": response}) as scene:
        scene.answers({"/points/1": {"best": 9}, "/gift/9": {"id": 3}, "/after/3": "x"})
        for tier, expected, count in [
            ("none", {"points": 0, "gift": None, "after": None}, 1),
            ("gold", {"points": {"best": 9}, "gift": None, "after": None}, 2),
            ("platinum", {"points": {"best": 9}, "gift": {"id": 3}, "after": "x"}, 4),
        ]:
            before = len(scene.paths())
            scene.answers({"/user": {"id": 1, "tier": tier}})
            answer = scene.gateway.get("/").expect(200, headers={"tidegate-partial": None})
            assert answer.json() == expected
            assert len(scene.paths()) - before == count, tier
