"""Handlers for the tests, found by name as a document names them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tidegate import BadContent, Request, Response

events: dict[str, threading.Event] = {}
"""What handlers tell the tests."""

marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker", default="untouched")


def event(name: str) -> threading.Event:
    return events.setdefault(name, threading.Event())


async def head(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "params": request.params,
        "query": list(request.query.pairs()),
        "cookies": request.cookies,
        "thing": request.header("X-THING"),
        "things": request.headers.get_all("X-Thing"),
        "client": request.client,
        "host": request.host,
        "url": request.url,
        "route": request.route,
    }


async def body(request: Request) -> bytes:
    return await request.body()


async def body_json(request: Request) -> Any:
    return await request.json()


async def body_text(request: Request) -> str:
    return await request.text()


def plain_json(request: Request) -> Any:
    return request.read_json()


async def body_json_or_else(request: Request) -> Any:
    try:
        return await request.json()
    except BadContent as error:
        return Response(422, str(error).partition(":")[0])


async def count(request: Request) -> dict[str, int]:
    sizes = [len(piece) async for piece in request.stream()]
    return {"bytes": sum(sizes)}


def plain(request: Request) -> str:
    return f"{threading.current_thread().name}:{len(request.read())}"


def plain_stream(request: Request) -> Iterator[str]:
    for number in range(3):
        yield f"{number};"


async def text(_: Request) -> str:
    return "héllo"


async def listing(_: Request) -> list[int]:
    return [1, 2, 3]


async def response(_: Request) -> Response:
    return Response(201, {"id": 7}, [("location", "/orders/7"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])


async def empty(_: Request) -> Response:
    return Response(204)


async def nothing(_: Request) -> None:
    return None


async def bad_header(_: Request) -> Response:
    return Response(200, "x", {"x-bad": "a\r\nset-cookie: stolen=1"})


async def framing(_: Request) -> Response:
    return Response(200, "four", {"content-length": "99", "transfer-encoding": "chunked", "connection": "close"})


async def fails(_: Request) -> str:
    raise ValueError("a secret of ours")


async def fails_late(_: Request) -> AsyncIterator[str]:
    yield "first;"
    await asyncio.to_thread(event("gate").wait, 20)
    raise ValueError("a secret of ours")


async def fails_before_the_first_piece(_: Request) -> AsyncIterator[str]:
    if True:
        raise ValueError("a secret of ours")
    yield "never"


async def leaves(_: Request) -> str:
    raise SystemExit(3)


async def gated(_: Request) -> AsyncIterator[str]:
    yield "one;"
    await asyncio.to_thread(event("gate").wait, 20)
    yield "two;"


async def endless(_: Request) -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"x" * 65536
            event("sent").set()
    finally:
        event("endless closed").set()


async def waits(_: Request) -> str:
    event("waits began").set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        event("waits cancelled").set()
        raise
    return "never"


async def uses_a_task(_: Request) -> str:
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0, "from a task"))
    return task.result()


async def sets_context(_: Request) -> str:
    before = marker.get()
    marker.set("set")
    return before


def blocks(_: Request) -> str:
    event("blocks began").set()
    event("unblock").wait(20)
    return "unblocked"


def returns_coroutine(request: Request) -> Any:
    return body(request)


class Callable:
    async def __call__(self, request: Request) -> str:
        return f"called {request.path}"


instance = Callable()
