"""The services of the shop: four small gateways, each answered by Python handlers of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tidegate.config import Gateway, Listener, Route
from tidegate.demo import data
from tidegate.extend.request import Request
from tidegate.extend.response import Response


class Shop:
    """The state of the services, new for each demo."""

    def __init__(self) -> None:
        self.orders = {number: dict(order) for number, order in data.ORDERS.items()}
        self._numbers = itertools.count(1004)

    def services(self) -> dict[str, Gateway]:
        """Each service as a gateway, by the variable that tells the shop's gateway its address."""
        return {
            "USER_SERVICE": _service({"=/users": self.users, "=/users/{id}": self.user}),
            "ORDER_SERVICE": _service({"=/orders": self.order_list, "=/orders/{id}": self.order}),
            "PRODUCT_SERVICE": _service(
                {"=/products": self.products, "=/products/{id}": self.product, "=/preview": self.preview}
            ),
            "SHIPPING_SERVICE": _service({"=/shipments/{id}": self.shipment, "=/shipments/{id}/events": self.tracking}),
        }

    async def users(self, _: Request) -> list[Any]:
        """All users."""
        return list(data.USERS.values())

    async def user(self, request: Request) -> Response | dict[str, Any]:
        """One user."""
        return _one(data.USERS, request.params["id"], "user")

    async def products(self, request: Request) -> list[Any]:
        """All products, or those of a category."""
        category = request.query.get("category")
        return [product for product in data.PRODUCTS.values() if category in (None, product["category"])]

    async def product(self, request: Request) -> Response | dict[str, Any]:
        """One product."""
        return _one(data.PRODUCTS, request.params["id"], "product")

    async def preview(self, request: Request) -> dict[str, Any]:
        """The next form of the list of products."""
        return {"version": 2, "under": request.header("x-public-path"), "products": list(data.PRODUCTS)}

    async def order_list(self, request: Request) -> Response | list[Any]:
        """All orders, or those of a user; POST places one."""
        if request.method == "POST":
            return await self._place(request)
        user = request.query.get("user")
        return [order for order in self.orders.values() if user in (None, order["userId"])]

    async def order(self, request: Request) -> Response | dict[str, Any]:
        """One order."""
        return _one(self.orders, request.params["id"], "order")

    async def _place(self, request: Request) -> Response:
        try:
            wanted = await request.json()
            user, items = wanted["userId"], wanted["items"]
            total = sum(data.PRODUCTS[item["productId"]]["price"] * item["quantity"] for item in items)
        except (ValueError, KeyError, TypeError):
            return Response(422, {"error": "expected userId and items with productId and quantity"})
        if user not in data.USERS or not items:
            return Response(422, {"error": "an order needs a known user and at least one item"})
        number = str(next(self._numbers))
        order = {"id": number, "userId": user, "items": items, "total": round(total, 2), "status": "placed"}
        self.orders[number] = order
        return Response(201, order, {"location": f"/api/v1/orders/{number}"})

    async def shipment(self, request: Request) -> Response | dict[str, Any]:
        """The shipment of an order."""
        return _one(data.SHIPMENTS, request.params["id"], "shipment")

    async def tracking(self, request: Request) -> Response:
        """Where a shipment has been, as server-sent events."""
        stations = data.TRACKING.get(request.params["id"])
        if stations is None:
            return Response(404, {"error": "no such shipment"})
        return Response(200, _events(stations), {"content-type": "text/event-stream", "cache-control": "no-store"})


async def _events(stations: list[str]) -> AsyncIterator[str]:
    for number, station in enumerate(stations, 1):
        yield f"id: {number}\ndata: {station}\n\n"


def _one(known: Mapping[str, dict[str, Any]], name: str, what: str) -> Response | dict[str, Any]:
    found = known.get(name)
    return Response(404, {"error": f"no such {what}"}) if found is None else found


def _service(handlers: Mapping[str, Any]) -> Gateway:
    routes = [Route(name=path, paths=[path], handler=handler) for path, handler in handlers.items()]
    return Gateway(listeners=[Listener(address="127.0.0.1:0")], routes=routes, access_log="off", admin=None, workers=1)
