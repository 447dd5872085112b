"""Answers, clients and values that mean harm to a composition, or that nobody thought of."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import tidegate.testing
from tidegate.testing.connection import Connection
from tidegate.testing.listening import Listening
from tidegate.testing.raw import Raw

from tests.compose.scene import Scene, call, document

LIST = {"list": call("/list"), "each": call("/each/{item}", for_each="{list}", optional=True)}


# ---- values in a path


@pytest.fixture(scope="module")
def chained() -> Iterator[Scene]:
    """A call whose path, query and header hold a field of an earlier answer, one with the client's own."""
    calls = {
        "a": call("/a"),
        "b": call("/u/{a.id}/b", query={"q": "{a.id}"}, headers={"x-id": "{a.id}"}, optional=True),
    }
    own = {"b": call("/u/{query.id}/b", headers={"x-id": "{header.x-id}"}, optional=True)}
    with Scene(main={"calls": calls, "response": "{b}"}, own={"calls": own, "response": "{b}"}) as scene:
        scene.service.any("/u/{rest...}").returns(json="b")
        yield scene


VALUES = {
    "a/b": "a%2Fb",
    "/": "%2F",
    "../admin": "..%2Fadmin",
    "..\\admin": "..%5Cadmin",
    "...": "...",
    "..%2f..": "..%252f..",
    "%2e%2e": "%252e%252e",
    "a?admin=1": "a%3Fadmin%3D1",
    "a#b": "a%23b",
    "a;b=c": "a%3Bb%3Dc",
    "a b+c&d": "a%20b%2Bc%26d",
    "http://evil.example/": "http%3A%2F%2Fevil.example%2F",
    "a\r\nx-evil: 1\r\n\r\nGET /admin HTTP/1.1": "a%0D%0Ax-evil%3A%201%0D%0A%0D%0AGET%20%2Fadmin%20HTTP%2F1.1",
    "ä\u2028😀": "%C3%A4%E2%80%A8%F0%9F%98%80",
    "{path.id}": "%7Bpath.id%7D",
    9007199254740993: "9007199254740993",
    123456789012345678901234567890: "123456789012345678901234567890",
    True: "true",
}


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_of_an_answer_is_one_segment_and_nothing_more(chained: Scene, value: Any) -> None:
    chained.service.get("/a").returns(json={"id": value})
    chained.gateway.get("/").expect(200, json="b")
    asked = chained.service.last
    assert asked.target == f"/u/{VALUES[value]}/b?q={VALUES[value]}"
    assert asked.header("x-evil") is None
    assert asked.headers.all("x-id") == [chained.service.last.headers["x-id"]]
    assert len(asked.fields) == len({name for name, _ in asked.fields})


NO_SEGMENT = {
    "missing": "{}",
    "null": '{"id": null}',
    "empty": '{"id": ""}',
    "a list": '{"id": [1]}',
    "an object": '{"id": {"a": 1}}',
    "a dot": '{"id": "."}',
    "two dots": '{"id": ".."}',
    "two dots, escaped": '{"id": "\\u002e."}',
    "dots with a parameter": '{"id": "..;x"}',
    "NUL": '{"id": "a\\u0000b"}',
    "of a duplicate, the last": '{"id": "good", "id": null}',
    "no object at all": "5",
    "long": json.dumps({"id": "x" * 100_000}),
}


@pytest.mark.parametrize("answer", NO_SEGMENT.values(), ids=NO_SEGMENT)
def test_a_call_is_not_made_with_a_hole_in_its_path(chained: Scene, answer: str) -> None:
    chained.service.get("/a").returns(text=answer)
    before = len(chained.paths())
    told = chained.gateway.get("/").expect(200, json=None)
    assert told.headers["tidegate-partial"] == "b;reason=missing_field"
    assert chained.paths()[before:] == ["/a"]


def test_a_field_that_a_needed_call_misses_is_a_failure_by_name() -> None:
    calls = {"order": call("/order"), "user": call("/users/{order.user.id}")}
    with Scene(main={"calls": calls, "response": ["{order}", "{user}"]}) as scene:
        scene.answers({"/order": {"user": {}}})
        answer = scene.gateway.get("/").expect(502, code="compose_failed")
        assert (answer.json()["call"], answer.json()["reason"]) == ("user", "missing_field")
        assert scene.paths() == ["/order"]


@pytest.mark.parametrize(
    ("written", "segment"),
    [
        ("a%2Fb", "a%2Fb"),
        ("..%2F..%2Fadmin", "..%2F..%2Fadmin"),
        ("a%3Fx%3D1%23", "a%3Fx%3D1%23"),
        ("%252e%252e", "%252e%252e"),
        ("a%0D%0Ax-evil:1", "a%0D%0Ax-evil%3A1"),
        ("a+b%26c%3Dd", "a%20b%26c%3Dd"),
        ("%FF%FE", "%FF%FE"),
        (".", None),
        ("%2e%2e", None),
        ("a%00", None),
        ("", None),
    ],
)
def test_a_value_of_the_client_is_one_segment_and_nothing_more(
    chained: Scene, written: str, segment: str | None
) -> None:
    before = len(chained.paths())
    chained.gateway.get(f"/own?id={written}").expect(200, json="b" if segment else None)
    assert chained.paths()[before:] == ([f"/u/{segment}/b"] if segment else [])


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/orders/a%2Fb", "/o/a%2Fb/x"),
        ("/orders/a%2F..%2F..%2Fadmin", "/o/a%2F..%2F..%2Fadmin/x"),
        ("/orders/a%3Fb%23c", "/o/a%3Fb%23c/x"),
        ("/orders/%252e%252e", "/o/%252e%252e/x"),
        ("/orders/%2e%2e", 404),
        ("/orders/../orders/y", "/o/y/x"),
        ("/orders/a%0d%0ab", 400),
        ("/orders/a\\b", 400),
        ("/orders/..;/admin", 400),
    ],
)
def test_a_capture_of_the_clients_path_goes_on_as_the_route_saw_it(path: str, target: str | int) -> None:
    compose = {"calls": {"o": call("/o/{path.id}/x")}, "response": "{o}"}
    text = {
        "services": [{"name": "s", "url": "http://s.internal"}],
        "routes": [{"name": "orders", "paths": ["/orders/{id}"], "compose": compose}],
    }
    with tidegate.testing.start(json.dumps(text, indent=1)) as gateway:
        gateway.services["s"].any().returns(json=1)
        with Raw(gateway.address()) as client:
            client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
            status, _ = client.read_head()
        targets = [request.target for request in gateway.services["s"].requests]
        assert (status, targets) == ((200, [target]) if isinstance(target, str) else (target, []))


def test_a_header_made_of_an_answer_keeps_to_its_line() -> None:
    headers = {"x-a": "{a.evil}", "authorization": "Bearer {a.evil}", "x-none": "{a.none}"}
    calls = {"a": call("/a"), "b": call("/b", headers=headers)}
    with Scene(main={"calls": calls, "response": "{b}"}) as scene:
        scene.answers({"/a": {"evil": "x\r\nx-admin: yes\r\n\r\nGET / HTTP/1.1\0"}, "/b": 1})
        scene.gateway.get("/").expect(200)
        asked = scene.service.last
        assert asked.header("x-admin") is None
        assert asked.header("x-none") is None
        assert asked.headers["x-a"] == "x  x-admin: yes    GET / HTTP/1.1"
        assert asked.headers["authorization"].startswith("Bearer x  x-admin")


def test_what_goes_into_a_body_is_a_value_there() -> None:
    evil = 'a","admin":true,"x":"\\\n'
    body = {"text": "<{a.evil}>", "value": "{a.evil}", "key": "{query.k}"}
    calls = {"a": call("/a"), "b": call("/b", method="POST", body=body)}
    with Scene(main={"calls": calls, "response": "{b}"}) as scene:
        scene.answers({"/a": {"evil": evil}})
        scene.service.post("/b").answers(lambda request: request.json())
        answer = scene.gateway.get("/?k=%22%2C%22admin%22%3Atrue%FF")
        assert answer.json() == {"text": f"<{evil}>", "value": evil, "key": '","admin":true\ufffd'}


# ---- what answers hold


def test_numbers_and_unknown_members_pass_byte_for_byte() -> None:
    order = '{"id":9007199254740993,"sum":0.1000,"big":123456789012345678901234567890,"e":1E+400,"\\u00fc":{"z":[ ]}}'
    calls = {"order": call("/order"), "echo": call("/echo", method="POST", body={"n": "{order.big}", "o": "{order}"})}
    response = {
        "order": "{order}",
        "id": "{order.id}",
        "e": "{order.e}",
        "without": {"$from": "{order}", "$without": ["id"]},
    }
    with Scene(main={"calls": calls, "response": {**response, "echo": "{echo}"}}) as scene:
        scene.service.get("/order").returns(text=order)
        scene.service.post("/echo").returns(json=0)
        without = order.replace('"id":9007199254740993,', "")
        expected = f'{{"order":{order},"id":9007199254740993,"e":1E+400,"without":{without},"echo":0}}'
        assert scene.gateway.get("/").text == expected
        assert scene.service.last.body.decode() == f'{{"n":123456789012345678901234567890,"o":{order}}}'


def test_of_duplicate_members_the_last_counts_and_none_escapes_its_removal() -> None:
    text = '{"id":1,"secret":"a","\\u0069d":2,"\\u0073ecret":"b","in":{"secret":"c"},"se\\u0063ret":"d"}'
    shape = {
        "id": "{a.id}",
        "raw": "{a}",
        "public": {"$from": "{a}", "$without": ["secret", "in.secret"]},
        "only": {"$from": "{a}", "$only": ["in"]},
    }
    with Scene(main={"calls": {"a": call("/a")}, "response": shape}) as scene:
        scene.service.get("/a").returns(text=text)
        expected = (
            f'{{"id":2,"raw":{text},"public":{{"id":1,"\\u0069d":2,"in":{{}}}},"only":{{"in":{{"secret":"c"}}}}}}'
        )
        assert scene.gateway.get("/").text == expected


BAD = {
    "no UTF-8 in a name": b'{"a\xc3\x28": 1}',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "an overlong slash": b'"\xc0\xaf"',
    "half a surrogate pair": b'{"a": "\\ud83d"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a control character": b'"a\x01"',
    "a trailing comma": b"[1,]",
    "a comment": b"{} // x",
    "single quotes": b"{'a': 1}",
    "a leading zero": b"[01]",
    "NaN": b'{"a": NaN}',
    "JSON lines": b"{}\n{}",
    "blanks alone": b" \n ",
    "NUL": b"\0",
    "HTML": b"<!doctype html><title>502</title>",
}


def test_what_is_no_json_is_a_failure_whatever_else_it_is() -> None:
    calls = {"a": call("/a", optional=True), "b": call("/b")}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}"]}) as scene:
        scene.answers({"/b": 1})
        for body in BAD.values():
            scene.service.get("/a").returns(body=body, headers={"content-type": "application/json"})
            answer = scene.gateway.get("/").expect(200, json=[None, 1])
            assert answer.headers["tidegate-partial"] == "a;reason=not_json", body


@pytest.mark.parametrize("bomb", ["[", '{"a":', '[{"a":', "[]" + "[" * 10], ids=["arrays", "objects", "both", "broken"])
def test_a_nesting_bomb_is_a_failure_and_costs_nothing(bomb: str) -> None:
    main = {"calls": {"a": call("/a", optional=True)}, "response": "{a}"}
    own = {"calls": {"b": call("/b", method="POST", body="{body}")}, "response": "{b}"}
    with Scene(main=main, own=own) as scene:
        text = (bomb * 200_000)[:1_000_000]
        scene.service.get("/a").returns(text=text)
        reason = "not_json" if bomb.startswith("[]") else "too_deep"
        scene.gateway.get("/").expect(200, headers={"tidegate-partial": f"a;reason={reason}"})
        before = len(scene.paths())
        scene.gateway.post("/own", text.encode()).expect(400, code="bad_content")
        assert len(scene.paths()) == before


class Endless(Listening):
    """Sends an answer of a hundred megabytes, or of no end at all."""

    sent = 0

    def __init__(self, framing: str) -> None:
        super().__init__()
        self.framing = framing
        self.over = threading.Event()

    def converse(self, connection: Connection) -> None:
        if connection.request() is None:
            return
        piece = b'"' + b"x" * 65_533 + b'",'
        if "chunked" in self.framing:
            piece = b"10000\r\n" + piece + b"\r\n"
        try:
            connection.send(f"HTTP/1.1 200 OK\r\n{self.framing}\r\n\r\n")
            for _ in range(100_000_000 // len(piece)):
                connection.send(piece)
                self.sent += len(piece)
        except OSError:
            self.over.set()


@pytest.mark.parametrize("framing", ["content-length: 100000000", "transfer-encoding: chunked", "connection: close"])
def test_a_hundred_megabytes_are_not_read(framing: str) -> None:
    service = Endless(framing)
    calls = {"a": call("/a", optional=True)}
    text = document(main={"calls": calls, "response": {"a": "{a}"}, "max_answer": "64KiB"})
    try:
        with tidegate.testing.start(text.replace("http://s.internal", service.url), real=["s"]) as gateway:
            gateway.get("/").expect(200, json={"a": None}, headers={"tidegate-partial": "a;reason=too_large"})
            assert service.over.wait(10), "the gateway went on reading"
            # What the systems' own buffers took.
            assert service.sent < 20_000_000
    finally:
        service.stop()


# ---- lists


def test_an_empty_list_is_no_request_and_an_empty_list() -> None:
    with Scene(main={"calls": LIST, "response": {"each": "{each}"}}) as scene:
        scene.answers({"/list": []})
        scene.gateway.get("/").expect(200, json={"each": []}, headers={"tidegate-partial": None})
        assert scene.paths() == ["/list"]


@pytest.mark.parametrize("value", [{"0": 1}, "abc", 5, None, True])
def test_what_is_no_list_cannot_be_gone_through(value: Any) -> None:
    with Scene(main={"calls": LIST, "response": {"each": "{each}"}}) as scene:
        scene.answers({"/list": value})
        answer = scene.gateway.get("/").expect(200, json={"each": None})
        assert answer.headers["tidegate-partial"] == "each;reason=missing_field"
        assert scene.paths() == ["/list"]


def test_odd_items_of_a_list_fail_by_themselves() -> None:
    with Scene(main={"calls": LIST, "response": "{each}"}) as scene:
        scene.service.get("/each/{id}").answers(lambda request: [request.path])
        scene.answers({"/list": [1, None, "a/b", "..", {}, [], "", "../x", 1, True]})
        answer = scene.gateway.get("/")
        odd = [None, ["/each/a%2Fb"], None, None, None, None, ["/each/..%2Fx"]]
        assert answer.json() == [["/each/1"], *odd, ["/each/1"], ["/each/true"]]
        assert answer.headers["tidegate-partial"] == "each;reason=missing_field;count=5"
        assert sorted(scene.paths()[1:]) == ["/each/..%2Fx", "/each/1", "/each/a%2Fb", "/each/true"]


def test_a_list_without_end_does_not_hold_the_worker_up() -> None:
    with Scene(main={"calls": LIST, "response": "{each}"}) as scene:
        scene.service.get("/each/{id}").returns(json=1)
        for count, expected in [(10_000, [1] * 10_000), (10_001, None), (300_000, None)]:
            scene.answers({"/list": [7] * count})
            answer = scene.gateway.get("/").expect(200, json=expected)
            assert answer.headers.get("tidegate-partial") == (None if expected else "each;reason=limit")


def test_ten_thousand_items_in_a_shape_are_ten_thousand_values() -> None:
    shape = {"$for_each": "{a.items}", "$value": {"id": "{item.id}", "of": "{a.name}", "at": "{index}"}}
    with Scene(main={"calls": {"a": call("/a")}, "response": shape}) as scene:
        scene.answers({"/a": {"items": [{"id": n} for n in range(10_000)], "name": "x"}})
        assert scene.gateway.get("/").json() == [{"id": n, "of": "x", "at": n} for n in range(10_000)]


def test_a_shape_cannot_make_a_gigabyte_of_a_megabyte() -> None:
    shape = {"$for_each": "{a.items}", "$value": "{a}"}
    with Scene(
        main={"calls": {"a": call("/a")}, "response": shape}, ok={"calls": {"b": call("/b")}, "response": "{b}"}
    ) as scene:
        scene.answers({"/a": {"items": [0] * 10_000, "text": "x" * 100_000}, "/b": 1})
        scene.gateway.get("/").expect(502, code="compose_failed")
        scene.gateway.get("/ok").expect(200, json=1)


# ---- what services say beside


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    calls = {"a": call("/a", optional=True), "b": call("/b/{a.id}", optional=True)}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}"]}) as scene:
        location = {"location": "http://169.254.169.254/latest"}
        scene.service.get("/a").returns(status, json={"id": 1}, headers=location)
        answer = scene.gateway.get("/").expect(200, json=[None, None])
        assert answer.headers["tidegate-partial"] == f"a;reason=redirect;status={status}, b;reason=needs;of=a"
        assert "location" not in answer.headers
        assert scene.paths() == ["/a"]


def test_cookies_go_neither_to_the_client_nor_to_other_calls() -> None:
    calls = {"a": call("/a"), "b": call("/b/{a}")}
    with Scene(main={"calls": calls, "response": ["{a}", "{b}"]}) as scene:
        headers = [("set-cookie", "session=evil; Domain=example.com"), ("set-cookie", "b=c")]
        scene.service.get("/a").returns(json=1, headers=headers)
        scene.service.get("/b/1").returns(json=2, headers=headers)
        answer = scene.gateway.get("/", headers={"cookie": "mine=1", "authorization": "Bearer x"})
        assert "set-cookie" not in answer.expect(200, json=[1, 2]).headers
        assert all(request.header("cookie") is None for request in scene.service.requests)
        assert all(request.header("authorization") is None for request in scene.service.requests)


# ---- what clients ask for


@pytest.mark.parametrize("fields", ["", ",", "a..b", ".", "a.", "a" + ".b" * 500, ",".join("a" * 100), "%00..", "%FF"])
def test_a_selection_that_is_none_is_the_clients_fault(fields: str) -> None:
    with Scene(main={"calls": {"a": call("/a")}, "response": {"a": "{a}"}, "fields": True}) as scene:
        scene.gateway.get(f"/?fields={fields}").expect(400, code="bad_content")
        assert scene.paths() == []


def test_a_selection_of_what_is_not_there_is_nothing() -> None:
    with Scene(main={"calls": {"a": call("/a")}, "response": {"a": "{a}"}, "fields": True}) as scene:
        scene.answers({"/a": {"x": {"y": 1}, "z": [{"y": 2}, 3]}})
        for fields, expected, calls in [
            ("__proto__,constructor.name", {}, 0),
            ("a.x.y.w", {"a": {}}, 1),
            ("a.z.y", {"a": {"z": [{"y": 2}, None]}}, 1),
            ("a.z.0,a.x", {"a": {"x": {"y": 1}, "z": [{"y": 2}]}}, 1),
        ]:
            before = len(scene.paths())
            scene.gateway.get(f"/?fields={fields}").expect(200, json=expected)
            assert len(scene.paths()) - before == calls
