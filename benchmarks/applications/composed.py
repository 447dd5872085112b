"""The composition as a handler of Tidegate."""

import asyncio
from typing import Any


async def order_details(request: Any) -> dict[str, Any]:
    """One order with all that belongs to it."""
    order_id = request.params["order_id"]
    order = await _get(request, "orders", "/orders/{id}", order_id)
    user, shipment, *products = await asyncio.gather(
        _get(request, "users", "/users/{id}", order["userId"]),
        _get(request, "shipments", "/shipments/{id}", order_id),
        *(_get(request, "products", "/products/{id}", product) for product in order["productIds"]),
    )
    return {"order": order, "user": user, "products": products, "shipment": shipment}


async def _get(request: Any, service: str, path: str, identity: str) -> Any:
    answer = await request.call(service, "GET", path, params={"id": identity})
    return answer.raise_for_status().json()
