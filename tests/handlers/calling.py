"""Handlers that call services, for the tests."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import tidegate
from tidegate import CallFailed, CallTimeout, Request, Response

from tests.handlers.functions import event


async def one(request: Request) -> dict[str, Any]:
    response = await request.call("service", "GET", "/users/{id}", params={"id": request.params["id"]})
    return {"status": response.status, "ok": response.ok, "text": response.text(), "type": response.header("x-type")}


async def everything(request: Request) -> Response:
    response = await request.call(
        "service",
        "put",
        "/things/{name}?fixed=1",
        params={"name": "a/b c"},
        query={"n": 3, "yes": True, "none": None, "tag": ["x", "y&z"]},
        headers={"x-own": "mine", "content-length": "999"},
        forward=["Accept-Language", "x-user-id"],
        json={"items": [1, None]},
        timeout=10,
    )
    return Response(response.status, response.body, response.headers.pairs())


async def at_once(request: Request) -> list[str]:
    return [
        answer.text() for answer in await asyncio.gather(*(request.call("service", "GET", f"/{n}") for n in range(3)))
    ]


async def in_every_way(request: Request) -> list[str]:
    """All that asyncio has for waiting."""
    answers = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request.call("service", "GET", "/group")) for _ in range(2)]
    answers += [task.result() for task in tasks]
    answers.append(await asyncio.wait_for(request.call("service", "GET", "/wait_for"), 20))
    answers.append(await asyncio.shield(request.call("service", "GET", "/shield")))
    for future in asyncio.as_completed([request.call("service", "GET", "/as_completed")]):
        answers.append(await future)
    async with asyncio.timeout(20):
        answers.append(await tidegate.call("service", "GET", "/contextvar"))
    task = asyncio.create_task(request.call("service", "GET", "/task"))
    done, _ = await asyncio.wait([task])
    answers += [one.result() for one in done]
    later = request.call("service", "GET", "/later")
    await asyncio.sleep(0.05)
    answers += [await later, await later]
    return [answer.text() for answer in answers]


async def nested(request: Request) -> str:
    async def inner() -> str:
        return (await tidegate.call("service", "GET", "/nested")).text()

    assert tidegate.current_request() is request
    return await asyncio.create_task(inner())


def plain(request: Request) -> str:
    return request.call_blocking("service", "POST", "/plain", body=request.read()).text()


async def in_a_thread(_: Request) -> str:
    answer = await asyncio.to_thread(tidegate.call_blocking, "service", "GET", "/thread")
    return answer.text()


async def wrong_thread(request: Request) -> str:
    try:
        await asyncio.to_thread(lambda: asyncio.ensure_future(request.call("service", "GET", "/")))
    except RuntimeError as error:
        return str(error)
    return "no error"


async def blocking_on_the_loop(request: Request) -> str:
    try:
        request.call_blocking("service", "GET", "/thread")
    except RuntimeError as error:
        return str(error)
    return "no error"


async def target(request: Request) -> Response:
    try:
        await request.call("service", "GET", await request.text())
    except ValueError as error:
        return Response(418, str(error))
    return Response(200, "sent")


async def value(request: Request) -> Response:
    try:
        await request.call("service", "GET", "/users/{id}/cart", params={"id": await request.text()})
    except ValueError as error:
        return Response(418, str(error))
    return Response(200, "sent")


async def what_fails(request: Request) -> dict[str, Any]:
    try:
        await request.call("service", "GET", "/", timeout=5)
    except CallFailed as error:
        return {"kind": type(error).__name__, "service": error.service, "reason": error.reason, "code": error.code}
    return {"kind": "none"}


async def does_not_catch(request: Request) -> str:
    return (await request.call("service", "GET", "/", timeout=5)).text()


async def does_not_catch_in_a_group(request: Request) -> str:
    async with asyncio.TaskGroup() as group:
        group.create_task(request.call("service", "GET", "/", timeout=5))
    return "never"


async def needs_a_good_status(request: Request) -> str:
    return (await request.call("service", "GET", "/")).raise_for_status().text()


async def needs_json(request: Request) -> Any:
    return (await request.call("service", "GET", "/")).json()


async def unknown(request: Request) -> Response:
    return Response(200, (await request.call("servise", "GET", "/")).body)


async def cancels(request: Request) -> str:
    call = asyncio.ensure_future(request.call("service", "GET", "/slow"))
    await asyncio.to_thread(event("seen").wait, 20)
    call.cancel()
    try:
        await call
    except asyncio.CancelledError:
        return "cancelled"
    return "not cancelled"


async def times_out(request: Request) -> str:
    try:
        async with asyncio.timeout(0.05):
            await request.call("service", "GET", "/slow")
    except TimeoutError:
        return "in time"
    return "too late"


async def first_failure_ends_all(request: Request) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(request.call("service", "GET", "/slow"))
            await asyncio.to_thread(event("seen").wait, 20)
            group.create_task(request.call("nowhere", "GET", "/"))
    except ExceptionGroup as failures:
        return type(failures.exceptions[0]).__name__
    return "no failure"


async def waits(request: Request) -> str:
    try:
        await asyncio.gather(*(request.call("service", "GET", f"/{n}") for n in range(3)))
    except asyncio.CancelledError:
        event("cancelled").set()
        raise
    return "never"


async def swallows_cancellation(request: Request) -> str:
    try:
        await request.call("service", "GET", "/slow")
    except asyncio.CancelledError:
        with contextlib.suppress(tidegate.ClientGone):
            await request.call("service", "GET", "/after")
            event("not gone").set()
        event("swallowed").set()
    return "nobody reads this"


async def outlives(request: Request) -> str:
    async def later() -> None:
        await asyncio.to_thread(event("answered").wait, 20)
        try:
            await request.call("service", "GET", "/late")
        except tidegate.ClientGone:
            event("refused").set()

    asyncio.create_task(later())  # noqa: RUF006
    return "early"


async def forgets(request: Request) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        request.call("service", "GET", "/forgotten")  # type: ignore[unused-coroutine]
    return str(caught[0].message)


async def streams(request: Request) -> AsyncIterator[bytes]:
    async with request.stream_call("service", "GET", "/stream") as response:
        async for piece in response.stream():
            yield piece


async def stalls(request: Request) -> str:
    async with request.stream_call("service", "GET", "/stream") as response:
        pieces = response.stream()
        first = await anext(pieces)
        event("stalled").set()
        await asyncio.to_thread(event("gate").wait, 20)
        return str(len(first))


async def uploads(request: Request) -> str:
    return (await request.call("service", "POST", "/upload", body=request.stream())).text()


async def breaks_off(request: Request) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.to_thread(event("seen").wait, 20)
        raise KeyError("of the body")

    try:
        await request.call("service", "POST", "/upload", body=pieces())
    except KeyError as error:
        return str(error)
    return "sent"


async def takes_little(request: Request) -> dict[str, str]:
    try:
        await request.call("service", "GET", "/", max_answer=10)
    except CallFailed as error:
        return {"reason": error.reason, "code": error.code}
    return {}


async def in_its_own_time(request: Request) -> str:
    try:
        await request.call("service", "GET", "/", timeout=3)
    except CallTimeout as error:
        return error.code
    return "answered"


async def two_after_another(request: Request) -> list[str]:
    first = await request.call("service", "GET", "/first")
    event("first").set()
    await asyncio.to_thread(event("reloaded").wait, 20)
    second = await request.call("service", "GET", "/second")
    return [first.text(), second.text()]
