"""Version 2 of an order as partners see it: what is promised stands in one place, and nothing else leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from tidegate import CallFailed, Request, Response


async def order_v2(request: Request) -> dict[str, Any] | Response:
    """An order, and where its parcel is, as far as that is known in time."""
    number = {"id": request.params["order_id"]}
    found, parcel = await asyncio.gather(
        request.call("order-service", "GET", "/orders/{id}", params=number), tracking(request, number)
    )
    if found.status == 404:
        return Response(404, {"error": "there is no such order"})
    order = found.raise_for_status().json()
    return {
        "id": order["number"],
        "state": order["status"],
        "amount": {"value": order["total"], "currency": order["currency"]},
        "tracking": parcel,
    }


async def tracking(request: Request, number: dict[str, str]) -> str | None:
    """Where the parcel can be followed; nobody waits for that longer than a second."""
    try:
        shipment = await request.call("shipping-service", "GET", "/shipments/{id}", params=number, timeout=1.0)
        return str(shipment.raise_for_status().json()["track"])
    except (CallFailed, KeyError):
        return None
