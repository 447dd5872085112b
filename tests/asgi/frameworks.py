"""Applications as people write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import tidegate
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

events: list[str] = []


class Item(BaseModel):
    """A thing with a price."""

    name: str
    price: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    events.append("begins")
    yield {"pool": "of connections"}
    events.append("ends")


bff = FastAPI(lifespan=lifespan)


@bff.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@bff.get("/blocking")
def blocking() -> dict[str, str]:
    return {"hello": "from a thread"}


@bff.get("/state")
async def state(request: Request) -> dict[str, Any]:
    return {"pool": request.state.pool, "url": str(request.url), "root": request.scope["root_path"]}


@bff.post("/items")
async def items(item: Item, background: BackgroundTasks) -> dict[str, Any]:
    background.add_task(events.append, f"stored {item.name}")
    return {"total": item.price * 2}


@bff.get("/ticks")
async def ticks() -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number};"
            await asyncio.sleep(0)

    return StreamingResponse(pieces(), media_type="text/plain")


@bff.get("/orders/{order_id}")
async def order(order_id: int) -> dict[str, Any]:
    answer = await tidegate.call("orders", "GET", "/orders/{id}", params={"id": order_id})
    return {"asked": f"/orders/{order_id}", "status": answer.status, "route": tidegate.current_request().route}


@bff.get("/fails")
async def fails() -> None:
    raise RuntimeError("secret")


class Marked(BaseHTTPMiddleware):
    """Adds a header to every answer, by way of the middleware that reads and sends in tasks of its own."""

    async def dispatch(self, request: StarletteRequest, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        answer.headers["x-marked"] = "yes"
        return answer


async def home(request: StarletteRequest) -> Response:
    return PlainTextResponse(request.url_for("item", name="a b").path)


async def item(request: StarletteRequest) -> Response:
    body = await request.body()
    return JSONResponse({"name": request.path_params["name"], "bytes": len(body)})


async def away(request: StarletteRequest) -> Response:
    return RedirectResponse(request.url_for("home"))


starlette = Starlette(
    routes=[
        Route("/", home, name="home"),
        Route("/items/{name}", item, methods=["GET", "POST"], name="item"),
        Mount("/deeper", routes=[Route("/away", away)]),
    ],
    middleware=[Middleware(Marked)],
)
