"""Services that are not real: what they answer, what they remember, and what they have to say."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tidegate import Response
from tidegate.testing import FakeService, Recorded, RunningGateway, start

DOCUMENT = """
listeners: [{address: "0.0.0.0:8443"}]
services:
  - {name: order-service, url: https://orders.internal/base, read_timeout: 3s, retries: 0}
routes:
  - {name: orders, paths: [/orders], service: order-service, strip_path: false}
"""


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    with start(DOCUMENT) as running:
        yield running


@pytest.fixture
def orders(gateway: RunningGateway) -> FakeService:
    return gateway.services.order_service


def test_a_rule_answers_what_it_was_told(gateway: RunningGateway, orders: FakeService) -> None:
    orders.get("/base/orders/{id}").returns(201, json={"id": 1}, headers={"x-shelf": "7"})
    answer = gateway.get("/orders/1").expect(201, json={"id": 1}, headers={"x-shelf": "7"})
    assert answer.headers["Content-Type"] == "application/json"
    assert orders.requests[0].path == "/base/orders/1"
    assert orders.requests[0].params == {"id": "1"}


def test_answers_come_one_after_another_and_the_last_again(gateway: RunningGateway, orders: FakeService) -> None:
    orders.get("/base/orders").fails(503).then(text="better").then(json=[])
    assert [gateway.get("/orders").status for _ in range(4)] == [503, 200, 200, 200]
    assert gateway.get("/orders").json() == []


def test_the_rule_that_was_made_last_answers(gateway: RunningGateway, orders: FakeService) -> None:
    orders.any().returns(text="all")
    orders.get("/base/orders").returns(text="one")
    assert [gateway.get(path).text for path in ("/orders", "/orders/2")] == ["one", "all"]


def test_a_function_answers(gateway: RunningGateway, orders: FakeService) -> None:
    def echo(request: Recorded) -> Response:
        return Response(202, {"got": request.json(), "page": request.query["page"]}, {"x-a": "b"})

    orders.post("/base/orders", query={"page": "2"}, headers={"x-b": "~^c"}, json={"a": 1}).answers(echo)
    answer = gateway.post("/orders", query={"page": "2"}, json={"a": 1, "b": 2}, headers={"x-b": "cc"})
    answer.expect(202, json={"got": {"a": 1, "b": 2}, "page": ["2"]}, headers={"x-a": "b"})


def test_a_service_that_hangs_is_waited_for_by_the_movable_clock(gateway: RunningGateway, orders: FakeService) -> None:
    orders.get("/base/orders").hangs()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(gateway.get("/orders")))
    asking.start()
    orders.wait_for_requests()
    gateway.advance(4)
    asking.join()
    answers[0].expect(504, code="upstream_timeout")


@pytest.mark.parametrize("how", ["resets", "closes"])
def test_a_service_that_breaks_off(gateway: RunningGateway, orders: FakeService, how: str) -> None:
    getattr(orders.get("/base/orders"), how)()
    assert gateway.get("/orders").status == 502


def test_a_slow_answer_comes_late(gateway: RunningGateway, orders: FakeService) -> None:
    orders.get("/base/orders").returns(text="at last").slow(0.05)
    assert gateway.get("/orders").text == "at last"


def test_head_is_answered_by_the_rule_for_get(gateway: RunningGateway, orders: FakeService) -> None:
    orders.get("/base/orders").returns(text="abc")
    assert gateway.request("HEAD", "/orders").headers["content-length"] == "3"
    assert orders.unexpected == []


def test_a_request_nobody_expected_is_listed_with_the_nearest_rule(
    gateway: RunningGateway, orders: FakeService
) -> None:
    orders.post("/base/orders")
    gateway.get("/orders").expect(501)
    with pytest.raises(AssertionError) as failed:
        gateway.services.assert_nothing_unexpected()
    assert str(failed.value) == (
        "service order-service: nobody expected GET /base/orders\n  nearest is POST /base/orders: the method is GET"
    )


def test_otherwise_takes_what_nothing_else_does(gateway: RunningGateway, orders: FakeService) -> None:
    orders.otherwise.returns(404)
    orders.get("/base/orders").returns(204)
    assert [gateway.get(path).status for path in ("/orders", "/orders/1")] == [204, 404]
    gateway.services.assert_nothing_unexpected()


def test_assertions_say_what_came(gateway: RunningGateway, orders: FakeService) -> None:
    orders.otherwise.returns(200)
    gateway.post("/orders", json={"a": 1})
    orders.assert_asked("POST", "/base/orders", times=1, json={"a": 1}, headers={"content-type": "~json"})
    orders.assert_not_asked("GET", "/base/orders")
    with pytest.raises(AssertionError, match=r"expected GET /base/orders, got 0\n  it got 1:\n    POST /base/orders"):
        orders.assert_asked("GET", "/base/orders")
    with pytest.raises(AssertionError, match="a: expected 2, got 1"):
        orders.assert_asked("POST", "/base/orders", json={"a": 2})
    with pytest.raises(AssertionError, match="expected not to be asked for any method any path"):
        orders.assert_not_asked()


def test_an_answer_says_how_it_differs(gateway: RunningGateway, orders: FakeService) -> None:
    orders.otherwise.returns(json={"id": 1, "lines": [{"sku": "a"}]})
    answer = gateway.get("/orders")
    with pytest.raises(AssertionError) as failed:
        answer.expect(201, json={"id": 2, "lines": [{"sku": "b"}], "no": None}, headers={"content-type": None})
    assert str(failed.value).splitlines()[:6] == [
        "GET /orders:",
        "  expected status 201, got 200",
        "  expected no header `content-type`, got `application/json`",
        "  id: expected 2, got 1",
        '  lines[0].sku: expected "b", got "a"',
        "  no: expected null, got nothing",
    ]


def test_an_unknown_service_is_named(gateway: RunningGateway) -> None:
    with pytest.raises(AttributeError, match="no service named `order_servic`"):
        gateway.services.order_servic  # noqa: B018
    assert list(gateway.services) == ["order-service"]


def test_a_function_that_fails_is_told(gateway: RunningGateway, orders: FakeService) -> None:
    orders.otherwise.answers(lambda _: 1 / 0)
    assert "ZeroDivisionError" in gateway.get("/orders").expect(500).text
    assert gateway.services.complaints
