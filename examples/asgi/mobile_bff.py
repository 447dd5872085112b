"""A backend for the mobile app: what it shows of an order, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import tidegate
from fastapi import FastAPI, HTTPException


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Runs before the gateway takes its first request, and after its last."""
    yield {"currency": "EUR"}


app = FastAPI(title="Mobile", lifespan=lifespan)


@app.get("/orders/{order_id}")
async def order(order_id: int) -> dict[str, Any]:
    """Three fields of an order; who calls, the trace and the deadline go along to the service."""
    answer = await tidegate.call("order-service", "GET", "/orders/{order_id}", params={"order_id": order_id})
    if answer.status != 200:
        raise HTTPException(404, "no such order")
    known = answer.json()
    return {"id": known["id"], "status": known["status"], "total": known["total"]}
