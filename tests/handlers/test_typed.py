"""Handlers that say by their signature what they take."""

from __future__ import annotations

from typing import Any

import pytest
import tidegate
from tidegate import ConfigError, Gateway, Route

from tests.conftest import StartGateway
from tests.handlers import typing_handlers
from tests.harness import RunningGateway

GOOD = [
    "get_order",
    "create",
    "everything",
    "struct",
    "structs",
    "plain",
    "stream",
    "raw",
    "text",
    "none",
    "refuses",
    "with_options",
]


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    return gateway(
        {
            "policies": {"request_id": {}},
            "routes": [
                {
                    "name": name,
                    "paths": [f"/{name}/{{order_id}}"] if name in ("get_order", "create", "plain") else [f"/{name}"],
                    "handler": f"tests.handlers.typing_handlers:{name}",
                }
                for name in GOOD
            ],
        }
    )


def test_values_come_from_where_the_signature_says(running: RunningGateway) -> None:
    headers = {"X-User-Id": "ann"}
    assert running.get("/get_order/7").json() == {"order_id": 7, "expand": False, "user": "nobody"}
    answer = running.get("/get_order/8?expand=true&order_id=9", headers=headers)
    assert answer.json() == {"order_id": 8, "expand": True, "user": "ann"}


def test_all_kinds_of_values_are_read(running: RunningGateway) -> None:
    key = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    answer = running.get(
        f"/everything?tag=a&tag=b&colour=red&at=2026-01-02T03:04:05Z&key={key}&p=3",
        headers={"X-Thing": "1", "X-Things": "2", "Cookie": "sid=s"},
    )
    assert answer.json() == ["/everything", ["a", "b"], "red", "2026-01-02T03:04:05Z", key, "up", 3, "1", ["2"], "s"]


def test_a_model_comes_from_the_body_and_goes_into_the_answer(running: RunningGateway) -> None:
    body = '{"items": [{"sku": "a", "quantity": 2}, {"sku": "b", "quantity": 3}]}'
    answer = running.post("/create/7", body, headers={"content-type": "application/json; charset=utf-8"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"id": 7, "total": 5, "at": "2026-01-02"}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/struct", '{"x": 1}', {"x": 2, "y": 1}),
        ("/structs", '[{"x": 1, "y": 2}]', {"points": [{"x": 2, "y": 1}]}),
        ("/plain/2", '{"width": 1, "height": 3}', {"width": 6, "height": 1}),
    ],
)
def test_structs_and_dataclasses_do_too(running: RunningGateway, path: str, body: str, expected: Any) -> None:
    assert running.post(path, body).json() == expected


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/stream?count=3", b"", b"0;1;2;"),
        ("/raw", b"\xff\x00", b"\xff\x00"),
        ("/raw", b"", b""),
        ("/text", "é".encode(), "é".encode()),
        ("/text", b"", b"nothing"),
        ("/none", b"", b"takes nothing"),
        ("/with_options", b"", b"Request"),
    ],
)
def test_other_handlers_take_what_they_say(running: RunningGateway, path: str, body: bytes, expected: bytes) -> None:
    assert running.post(path, body).body == expected


@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        ("/get_order/x?expand=perhaps", None, [("path", "order_id"), ("query", "expand")]),
        ("/everything", None, [("query", "tag"), ("query", "colour"), ("query", "at"), ("query", "key")]),
        (
            "/create/7",
            '{"items": [{"sku": "a", "quantity": 0}], "note": 1}',
            [("body", "items.0.quantity"), ("body", "note")],
        ),
        ("/create/x", "[]", [("path", "order_id"), ("body", "")]),
        ("/struct", '{"y": 1}', [("body", "")]),
        ("/stream?count=many", None, [("query", "count")]),
        ("/plain/x", '{"width": 1}', [("path", "order_id"), ("body", "height")]),
        ("/refuses", None, [("query", "x")]),
    ],
)
def test_what_does_not_fit_is_a_422_that_names_each(
    running: RunningGateway,
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: str | None,
    errors: list[tuple[str, str]],
) -> None:
    answer = running.get(path) if body is None else running.post(path, body)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert [(error["in"], error["name"]) for error in problem["errors"]] == errors
    assert all(error["message"] for error in problem["errors"])
    assert not [record for record in caplog.records if record.name == "tidegate.handlers"]


@pytest.mark.parametrize("path", ["/create/7", "/struct"])
@pytest.mark.parametrize("body", ["{", "", "\x00"])
def test_a_body_that_is_not_json_is_a_400(running: RunningGateway, path: str, body: str) -> None:
    answer = running.post(path, body)
    assert (answer.status, answer.code) == (400, "bad_content")


# Another site's form can send JSON as `text/plain` without a preflight.
def test_json_that_is_said_to_be_something_else_is_not_taken(running: RunningGateway) -> None:
    answer = running.post("/struct", '{"x": 1}', headers={"content-type": "text/plain"})
    assert answer.status == 422
    assert answer.json()["errors"] == [
        {"in": "header", "name": "content-type", "message": "expected `application/json`"}
    ]


def test_ten_thousand_mismatches_are_not_ten_thousand_lines(running: RunningGateway) -> None:
    body = '{"items": [' + ",".join("{}" for _ in range(10_000)) + "]}"
    errors = running.post("/create/7", body).json()["errors"]
    assert len(errors) == 32


@pytest.mark.parametrize(
    ("handler", "message", "hint"),
    [
        ("two_bodies", "parameters `one` and `other` both take the body", "put both into one model"),
        ("no_type", "parameter `order_id` has no type", "write `order_id: str`, or what it is"),
        (
            "not_captured",
            "no path of this route captures `order_idd`, which `order_idd` is to come from",
            "did you mean `order_id`?",
        ),
        ("no_such_type", "its annotations cannot be read: name 'NotImported' is not defined", "names in annotations"),
        ("opaque", "parameter `thing`: `Opaque` is no type that values can be read as", "Unable to generate"),
    ],
)
def test_a_signature_that_cannot_be_met_is_a_problem_of_the_document(handler: str, message: str, hint: str) -> None:
    function = getattr(typing_handlers, handler)
    gateway = Gateway(routes=[Route(name="r", paths=["/orders/{order_id}"], handler=function)])
    with pytest.raises(ConfigError) as raised:
        gateway.check()
    (problem,) = raised.value.problems
    assert (problem.code, problem.path) == ("config.bad_handler", "routes[0].handler")
    assert problem.message == f"`tests.handlers.typing_handlers:{handler}`: {message}"
    assert (problem.hint or "").startswith(hint)


def test_a_handler_that_takes_its_request_is_called_as_it_is() -> None:
    from tidegate.extend.typed import typed

    async def with_type(request: tidegate.Request) -> str: ...  # type: ignore[empty-body]

    async def without(request): ...  # type: ignore[no-untyped-def]

    assert typed(with_type) is None
    assert typed(without) is None
    assert typed(lambda request: "x") is None
