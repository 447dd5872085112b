"""FastAPI with httpx, as their documentations advise: one client for the life of the application, calls gathered."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI, HTTPException


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the one client."""
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
    async with httpx.AsyncClient(base_url=f"http://{os.environ['UPSTREAM']}", limits=limits, timeout=10) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def _get(path: str) -> Any:
    answer = await app.state.client.get(path)
    if answer.status_code != 200:
        raise HTTPException(502)
    return answer.json()


@app.get("/api/v1/order-details/{order_id}")
async def order_details(order_id: str) -> Any:
    """One order with all that belongs to it."""
    order = await _get(f"/orders/{quote(order_id, safe='')}")
    user, shipment, *products = await asyncio.gather(
        _get(f"/users/{quote(order['userId'], safe='')}"),
        _get(f"/shipments/{quote(order_id, safe='')}"),
        *(_get(f"/products/{quote(product, safe='')}") for product in order["productIds"]),
    )
    return {"order": order, "user": user, "products": products, "shipment": shipment}
