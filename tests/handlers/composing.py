"""A gateway made with decorators, for the tests."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel
from tidegate import Gateway, Request, Response, optional

from tests.handlers.functions import event


class Order(BaseModel):
    total: int


def build(services: list[Any]) -> Gateway:
    """The gateway, with services of the test's."""
    gateway = Gateway(services=services)

    @gateway.get("/hello/{name}")
    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    @gateway.post("/orders", name="new-order", policies={"request_id": {}}, timeout="5s", max_body=1000)
    async def create(order: Order) -> Response:
        return Response(201, {"total": order.total})

    @gateway.put("/both")
    @gateway.delete("/both")
    def both(request: Request) -> str:
        return request.method

    @gateway.route("/files/{rest...}", methods=["GET", "PATCH"])
    async def files(rest: str) -> str:
        return rest

    @gateway.compose("/orders/{order_id}", timeout="5s", errors=True)
    async def order_details(request: Request, order_id: int) -> dict[str, Any]:
        order = request.call("order", "GET", "/orders/{id}", params={"id": order_id})
        return {
            "order": order,
            "user": optional(request.call("user", "GET", "/users/1")),
            "shipment": optional(request.call("shipment", "GET", "/shipments/1"), {"state": "unknown"}, timeout=20),
        }

    @gateway.compose("/parts")
    def parts(request: Request) -> dict[str, Any]:
        async def model() -> Order:
            await asyncio.sleep(0)
            return Order(total=3)

        return {
            "constant": 7,
            "model": model(),
            "text": asyncio.sleep(0, "text"),
            "list": [request.call("order", "GET", f"/items/{number}") for number in range(3)],
            "nothing": [],
        }

    @gateway.compose("/items")
    def items(request: Request) -> dict[str, Any]:
        return {"items": [optional(request.call("order", "GET", f"/items/{number}"), "?") for number in range(3)]}

    @gateway.compose("/needs", timeout="5s")
    def needs(request: Request) -> dict[str, Any]:
        return {"user": request.call("user", "GET", "/"), "order": request.call("order", "GET", "/")}

    @gateway.compose("/first", timeout="200ms")
    async def first(request: Request) -> dict[str, Any]:
        order = await request.call("order", "GET", "/")
        return {"order": order}

    @gateway.compose("/late", timeout="200ms")
    def late(request: Request) -> dict[str, Any]:
        return {
            "user": optional(request.call("user", "GET", "/")),
            "stubborn": optional(stubborn(), "gave up"),
            "order": request.call("order", "GET", "/"),
        }

    @gateway.compose("/soon")
    def soon(request: Request) -> dict[str, Any]:
        return {"order": optional(request.call("order", "GET", "/"), timeout=0.05), "user": optional(fails(), 1)}

    @gateway.compose("/mistake")
    def mistake(request: Request) -> dict[str, Any]:
        return {"order": request.call("order", "GET", "/"), "user": fails()}

    @gateway.compose("/other")
    async def other(request: Request) -> Response:
        return Response(404, "no such order")

    @gateway.get("/alone")
    async def alone(request: Request) -> Any:
        answer = await optional(request.call("order", "GET", "/"), "default", timeout=0.05)
        return answer if isinstance(answer, str) else answer.json()

    return gateway


async def fails() -> int:
    raise ValueError("a secret of ours")


async def stubborn() -> int:
    while not event("stop").is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            event("swallowed").set()
    return 1
