"""The main example: an order, then its user and its products at once, with its shipment beside them, as one answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tidegate.testing
from tidegate.testing import Answer, RunningGateway

from examples.compose import services as example
from tests.harness import start

DOCUMENT = """
services:
  - {name: order-service, url: "http://order-service.internal"}
  - {name: user-service, url: "http://user-service.internal"}
  - {name: product-service, url: "http://product-service.internal"}
  - {name: shipping-service, url: "http://shipping-service.internal"}
routes:
  - name: order-details
    paths: ["/api/v1/order-details/{order_id}"]
    compose:
      timeout: 2s
      forward_headers: [accept-language]
      calls:
        order:    {service: order-service, path: "/orders/{path.order_id}", on_error: pass}
        user:     {service: user-service, path: "/users/{order.userId}", optional: true}
        products: {service: product-service, path: "/products/{item}", for_each: "{order.productIds}", concurrency: 8}
        shipment: {service: shipping-service, path: "/shipments/{path.order_id}", optional: true, timeout: 300ms}
      response: {order: "{order}", user: "{user}", products: "{products}", shipment: "{shipment}"}
      views:
        mobile: {when: {"{header.x-client}": mobile}, response: {id: "{order.id}", total: "{order.total}"}}
      fields: true
      errors: true
"""
ORDER: dict[str, Any] = {
    "id": 12345678901234567890,
    "userId": "u 1",
    "productIds": ["p1", "p2"],
    "total": 53.50,
    "new": {"member": None},
}
USER = {"id": "u 1", "name": "Ann"}
PRODUCTS = [{"id": "p1", "name": "Lamp"}, {"id": "p2", "name": "Bulb"}]
SHIPMENT = {"carrier": "Gull Post"}
PATH = "/api/v1/order-details/1001"


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    with tidegate.testing.start(DOCUMENT) as running:
        services = running.services
        services["order-service"].get("/orders/1001").returns(json=ORDER)
        services["user-service"].get("/users/u%201").returns(json=USER)
        for product in PRODUCTS:
            services["product-service"].get(f"/products/{product['id']}").returns(json=product)
        services["shipping-service"].get("/shipments/1001").returns(json=SHIPMENT)
        yield running


def asked(gateway: RunningGateway) -> list[int]:
    """How many requests each service got."""
    names = ("order-service", "user-service", "product-service", "shipping-service")
    return [len(gateway.services[name].requests) for name in names]


def test_four_services_make_one_answer(gateway: RunningGateway) -> None:
    answer = gateway.get(PATH)
    answer.expect(200, headers={"content-type": "application/json", "tidegate-partial": None})
    assert answer.json() == {"order": ORDER, "user": USER, "products": PRODUCTS, "shipment": SHIPMENT}
    assert asked(gateway) == [1, 1, 2, 1]


def test_values_pass_as_they_came(gateway: RunningGateway) -> None:
    text = '{"id": 1.0e2, "userId":"u 1", "productIds": [], "a": 9007199254740993, "a": 2, "z": "\\u00e9"}'
    gateway.services["order-service"].get("/orders/1001").returns(
        text=text, headers={"content-type": "application/json"}
    )
    body = gateway.get(PATH).text
    assert f'"order":{text}' in body.replace('"order": ', '"order":')
    assert '"products":[]' in body.replace(" ", "")


def test_a_mobile_client_costs_one_call(gateway: RunningGateway) -> None:
    answer = gateway.get(PATH, headers={"x-client": "mobile"})
    assert answer.json() == {"id": ORDER["id"], "total": ORDER["total"]}
    assert asked(gateway) == [1, 0, 0, 0]


def test_fields_cost_only_what_they_need(gateway: RunningGateway) -> None:
    answer = gateway.get(PATH, query={"fields": "order.id,user"})
    assert answer.json() == {"order": {"id": ORDER["id"]}, "user": USER}
    assert asked(gateway) == [1, 1, 0, 0]


def test_calls_carry_what_is_the_gateways_and_what_is_allowed(gateway: RunningGateway) -> None:
    gateway.get(PATH, headers={"accept-language": "de", "x-secret": "1", "cookie": "a=b", "x-request-id": "mine"})
    requests = [request for name in ("order-service", "product-service") for request in gateway.services[name].requests]
    assert {request.headers["accept-language"] for request in requests} == {"de"}
    assert len({request.headers["x-request-id"] for request in requests}) == 1
    traces = [request.headers["traceparent"].split("-") for request in requests]
    assert len({trace for _, trace, _, _ in traces}) == 1
    assert len({span for _, _, span, _ in traces}) == len(requests)
    assert not any({"x-secret", "cookie"} & {name for name, _ in request.fields} for request in requests)


def test_an_order_that_does_not_exist_is_the_services_own_404(gateway: RunningGateway) -> None:
    gateway.services["order-service"].get("/orders/1001").returns(404, json={"no": "order"})
    answer = gateway.get(PATH)
    answer.expect(404, code="compose_failed", json={"call": "order", "reason": "status", "upstream_status": 404})
    assert asked(gateway)[1:3] == [0, 0]


def test_a_product_that_fails_ends_the_answer(gateway: RunningGateway) -> None:
    gateway.services["product-service"].get("/products/p2").returns(503)
    gateway.get(PATH).expect(
        502, code="compose_failed", json={"call": "products", "reason": "status", "upstream_status": 503}
    )


def test_a_user_that_fails_leaves_null(gateway: RunningGateway) -> None:
    gateway.services["user-service"].get("/users/u%201").returns(500)
    answer = gateway.get(PATH)
    answer.expect(200, headers={"tidegate-partial": "user;reason=status;status=500", "cache-control": "no-store"})
    found = answer.json()
    assert (found["user"], found["errors"]) == (None, [{"call": "user", "reason": "status", "status": 500}])
    assert (found["order"], found["products"], found["shipment"]) == (ORDER, PRODUCTS, SHIPMENT)


def test_a_shipment_that_hangs_is_left_out_in_time(gateway: RunningGateway) -> None:
    shipping = gateway.services["shipping-service"]
    shipping.get("/shipments/1001").hangs()
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(gateway.get(PATH)))
    asking.start()
    shipping.wait_for_requests()
    gateway.services["product-service"].wait_for_requests(2)
    gateway.advance(0.4)
    asking.join()
    answers[0].expect(200, headers={"tidegate-partial": "shipment;reason=timeout"})
    assert answers[0].json()["shipment"] is None


def test_an_order_that_hangs_is_a_504(gateway: RunningGateway) -> None:
    orders = gateway.services["order-service"]
    orders.get("/orders/1001").hangs()
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(gateway.get(PATH)))
    asking.start()
    orders.wait_for_requests()
    gateway.advance(2.1)
    asking.join()
    answers[0].expect(504, code="compose_timeout", json={"call": "order", "reason": "timeout"})


def test_an_order_without_a_user_makes_no_call_with_a_hole(gateway: RunningGateway) -> None:
    gateway.services["order-service"].get("/orders/1001").returns(json={**ORDER, "userId": None})
    answer = gateway.get(PATH)
    answer.expect(200, headers={"tidegate-partial": "user;reason=missing_field"})
    assert asked(gateway)[1] == 0


@pytest.mark.parametrize("user", ["../admin", "a/b", "x?admin=1", "x#y", "x\r\nx-evil: 1", "%2e%2e"])
def test_a_value_cannot_change_the_path(gateway: RunningGateway, user: str) -> None:
    gateway.services["order-service"].get("/orders/1001").returns(json={**ORDER, "userId": user})
    users = gateway.services["user-service"]
    users.otherwise.returns(json=USER)
    gateway.get(PATH).expect(200)
    [request] = users.requests
    assert (request.path.count("/"), request.query) == (2, {})
    assert request.path.startswith("/users/")
    assert "x-evil" not in {name for name, _ in request.fields}


@pytest.mark.parametrize("user", ["..", ".", "x\0y"])
def test_a_value_that_no_path_may_have_is_not_sent(gateway: RunningGateway, user: str) -> None:
    gateway.services["order-service"].get("/orders/1001").returns(json={**ORDER, "userId": user})
    gateway.get(PATH).expect(200, headers={"tidegate-partial": "user;reason=missing_field"})
    assert asked(gateway)[1] == 0


def test_the_example_does_what_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = example.serve(0)
    threading.Thread(target=services.serve_forever, daemon=True).start()
    monkeypatch.setenv("SHOP", f"127.0.0.1:{services.server_address[1]}")
    monkeypatch.setenv("LISTEN", "127.0.0.1:0")
    running = start(Path(__file__).parents[2] / "examples" / "compose" / "gateway.yaml", tmp_path)
    try:
        answer = running.get(PATH)
        assert answer.status == 200
        assert "internalId" not in answer.text
        found = answer.json()
        assert (found["user"]["name"], [product["name"] for product in found["products"]]) == ("Ann", ["Lamp", "Bulb"])
        assert running.get(PATH, headers={"x-client": "mobile"}).json() == {"id": 1001, "status": "sent", "total": 53.5}
        partial = running.get("/api/v1/order-details/1002")
        assert partial.headers["tidegate-partial"] == "shipment;reason=timeout"
        assert json.loads(partial.body)["errors"] == [{"call": "shipment", "reason": "timeout"}]
        assert running.get("/api/v1/order-details/1003").status == 404
    finally:
        running.stop()
        services.shutdown()
        services.server_close()
