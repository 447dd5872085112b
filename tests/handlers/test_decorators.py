"""Gateways made with decorators, and answers that are put together from awaitables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tidegate import ConfigError, Gateway, Request, Service, check, optional

from tests.conftest import StartGateway, StartUpstream
from tests.handlers import composing, functions
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.upstream import Connection, hang_before_head

Services = dict[str, FakeUpstream]


@pytest.fixture
def services(upstream: StartUpstream) -> Services:
    functions.events.clear()
    return {name: upstream().answer(answer(f'"{name}"')) for name in ("order", "user", "shipment")}


@pytest.fixture
def running(gateway: StartGateway, services: Services) -> RunningGateway:
    return gateway(composing.build([Service(name=name, url=one.url, retries=0) for name, one in services.items()]))


def answer(body: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body.encode())}\r\n\r\n{body}"


def closes(connection: Connection) -> None:
    connection.request()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("GET", "/hello/ada", None, 200, b'{"hello":"ada"}'),
        ("GET", "/hello/ada/more", None, 404, None),
        ("POST", "/hello/ada", None, 405, None),
        ("POST", "/orders", b'{"total": 3}', 201, b'{"total":3}'),
        ("POST", "/orders", b'{"total": "x"}', 422, None),
        ("POST", "/orders", b'{"total": %b}' % (b"1" * 1000), 413, None),
        ("PUT", "/both", None, 200, b"PUT"),
        ("DELETE", "/both", None, 200, b"DELETE"),
        ("PATCH", "/files/a/b", None, 200, b"a/b"),
        ("GET", "/other", None, 404, b"no such order"),
    ],
)
def test_a_decorator_makes_a_route(
    running: RunningGateway, method: str, path: str, body: bytes | None, status: int, expected: bytes | None
) -> None:
    got = running.request(method, path, body=body or b"")
    assert got.status == status
    assert expected is None or got.body == expected


def test_names_are_those_of_the_functions_and_never_twice() -> None:
    names = [route.name for route in composing.build([]).routes]
    assert len(set(names)) == len(names)
    assert {"hello", "new-order", "both", "both-2", "order_details"} <= set(names)


def test_a_wrong_option_is_told_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="timeot"):
        Gateway().get("/x", timeot="5s")(lambda request: "x")
    with pytest.raises(ConfigError, match="soon"):
        Gateway().compose("/x", timeout="soon")


def test_what_decorators_made_is_in_the_document(services: Services, tmp_path: Any) -> None:
    from tests.handlers import decorated

    file = tmp_path / "gateway.yaml"
    file.write_text(decorated.gateway.to_yaml())
    assert "handler: tests.handlers.decorated:composed" in file.read_text()
    assert "=/composed/{number}" in file.read_text()
    check(file)


def test_an_answer_is_put_together_from_all(running: RunningGateway, services: Services) -> None:
    services["order"].answer(answer('{"total": 12345678901234567890.10, "x":[ ]}\n'))
    services["user"].answer("HTTP/1.1 204 No Content\r\n\r\n")
    got = running.get("/orders/7")
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    # Digit for digit, as it came.
    assert got.text == '{"order":{"total": 12345678901234567890.10, "x":[ ]}\n,"user":null,"shipment":"shipment"}'
    assert "tidegate-partial" not in got.headers
    assert services["order"].last.target == "/orders/7"


def test_parts_are_anything_that_can_be_awaited_and_data(running: RunningGateway) -> None:
    assert running.get("/parts").json() == {
        "constant": 7,
        "model": {"total": 3},
        "text": "text",
        "list": ["order"] * 3,
        "nothing": [],
    }


@pytest.mark.parametrize(
    ("user", "reason", "partial"),
    [
        (answer("no", "500 Oops"), {"reason": "status", "status": 500}, "user;reason=status;status=500"),
        (answer("", "302 Found"), {"reason": "redirect", "status": 302}, "user;reason=redirect;status=302"),
        (answer("<html>"), {"reason": "not_json"}, "user;reason=not_json"),
        (answer("[" * 100 + "]" * 100), {"reason": "too_deep"}, "user;reason=too_deep"),
        (None, {"reason": "unreachable"}, "user;reason=unreachable"),
    ],
)
def test_an_optional_part_that_fails_leaves_its_default(
    running: RunningGateway, services: Services, user: str | None, reason: dict[str, Any], partial: str
) -> None:
    if user is None:
        services["user"].script(closes)
    else:
        services["user"].answer(user)
    services["shipment"].answer(answer("no", "404 Not Found"))
    got = running.get("/orders/7")
    assert got.json() == {
        "order": "order",
        "user": None,
        "shipment": {"state": "unknown"},
        "errors": [{"call": "user", **reason}, {"call": "shipment", "reason": "status", "status": 404}],
    }
    assert got.headers["tidegate-partial"] == f"{partial}, shipment;reason=status;status=404"
    assert got.headers["cache-control"] == "no-store"


def test_items_of_a_list_fail_one_by_one(running: RunningGateway, services: Services) -> None:
    def play(connection: Connection) -> None:
        while (request := connection.request()) is not None:
            good = request.target.endswith("1")
            connection.send(answer('"good"') if good else answer("no", "500 Oops"))

    services["order"].script(play)
    got = running.get("/items")
    assert got.json() == {"items": ["?", "good", "?"]}
    assert got.headers["tidegate-partial"] == "items;reason=status;status=500;count=2"


def test_a_part_that_is_needed_and_fails_ends_the_others(running: RunningGateway, services: Services) -> None:
    services["user"].script(hang_before_head)
    services["order"].answer(answer("no", "500 Oops"))
    got = running.get("/needs")
    assert (got.status, got.code) == (502, "compose_failed")
    problem = got.json()
    assert (problem["call"], problem["reason"], problem["upstream_status"]) == ("order", "status", 500)
    services["user"].wait_for_closed()


def test_a_deadline_ends_what_is_needed_and_what_is_not(running: RunningGateway, services: Services) -> None:
    services["order"].script(hang_before_head)
    got = running.get("/late")
    assert (got.status, got.code) == (504, "compose_timeout")
    assert got.json()["call"] == "order"
    assert functions.event("swallowed").wait(20)
    functions.event("stop").set()
    services["order"].wait_for_closed()


def test_who_swallows_its_cancellation_holds_nobody_up(running: RunningGateway) -> None:
    got = running.get("/late")
    assert got.json() == {"user": "user", "stubborn": "gave up", "order": "order"}
    assert got.headers["tidegate-partial"] == "stubborn;reason=timeout"
    functions.event("stop").set()


def test_the_function_itself_has_no_more_time_than_its_answer(running: RunningGateway, services: Services) -> None:
    services["order"].script(hang_before_head)
    got = running.get("/first")
    assert (got.status, got.code) == (504, "compose_timeout")
    services["order"].wait_for_closed()


def test_an_optional_part_has_a_time_of_its_own_and_may_raise(
    running: RunningGateway, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    services["order"].script(hang_before_head)
    got = running.get("/soon")
    assert got.json() == {"order": None, "user": 1}
    assert got.headers["tidegate-partial"] == "order;reason=timeout, user;reason=failed"
    assert [record.getMessage() for record in caplog.records] == ["part of an answer failed part=user"]
    services["order"].wait_for_closed()


def test_a_part_that_is_needed_and_raises_is_the_handlers_mistake(running: RunningGateway, services: Services) -> None:
    services["order"].script(hang_before_head)
    got = running.get("/mistake")
    assert (got.status, got.code) == (500, "handler_failed")
    assert b"secret" not in got.body


def test_a_client_that_leaves_ends_all_parts(running: RunningGateway, services: Services) -> None:
    for service in services.values():
        service.script(hang_before_head)
    with running.raw() as raw:
        raw.send("GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n")
        for service in services.values():
            service.wait_for_requests()
        raw.reset()
    for service in services.values():
        service.wait_for_closed()


def test_an_optional_call_is_awaited_by_itself_too(running: RunningGateway, services: Services) -> None:
    services["order"].script(hang_before_head)
    assert running.get("/alone").text == "default"


def test_a_name_that_is_no_token_is_a_string_in_the_header(gateway: StartGateway) -> None:
    made = Gateway()

    @made.compose("/x")
    def odd(_: Request) -> dict[str, Any]:
        return {'1 "x"\r\ny': optional(composing.fails())}

    got = gateway(made).get("/x")
    assert json.loads(got.body) == {'1 "x"\r\ny': None}
    assert got.headers["tidegate-partial"] == '"1 \\"x\\"??y";reason=failed'
