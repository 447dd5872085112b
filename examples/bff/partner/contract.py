"""Version 2 of an order as partners see it: what is promised stands in one place, and nothing else leaves."""

from __future__ import annotations

from typing import Any

from tidegate import CallFailed, Request, Response


async def order_v2(request: Request) -> dict[str, Any] | Response:
    """An order, and where its parcel is, as far as that is known in time."""
    number = {"id": request.params["order_id"]}
    shipping = request.call("shipping-service", "GET", "/shipments/{id}", params=number, timeout=1.0)
    found = await request.call("order-service", "GET", "/orders/{id}", params=number)
    if found.status == 404:
        return Response(404, {"error": "there is no such order"})
    order = found.raise_for_status().json()
    try:
        tracking = (await shipping).raise_for_status().json()["track"]
    except (CallFailed, KeyError):
        tracking = None
    return {
        "id": order["number"],
        "state": order["status"],
        "amount": {"value": order["total"], "currency": order["currency"]},
        "tracking": tracking,
    }
