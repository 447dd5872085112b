"""The handler of the page on calls from Python."""

from __future__ import annotations

from tidegate import CallFailed, Request


async def order_details(request: Request) -> dict[str, object]:
    identifier = request.params["order_id"]
    shipping = request.call("shipping-service", "GET", "/shipments/{id}", params={"id": identifier}, timeout=0.3)
    order = (await request.call("order-service", "GET", "/orders/{id}", params={"id": identifier})).json()
    user = await request.call("user-service", "GET", "/users/{id}", params={"id": order["userId"]})
    try:
        shipment = (await shipping).json()
    except CallFailed:
        shipment = None
    return {"order": order, "user": user.json(), "shipment": shipment}
