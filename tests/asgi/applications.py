"""Applications of the tests: well behaved ones, and others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

events: list[Any] = []
"""What happened, for tests to look at."""


def respond(body: bytes = b"", status: int = 200, headers: Any = (), **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body, **more},
    ]


async def say(send: Any, *messages: dict[str, Any]) -> None:
    for message in messages:
        await send(message)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


async def shows(scope: Any, receive: Any, send: Any) -> None:
    """Answers with its scope."""
    if scope["type"] == "lifespan":
        return
    await say(send, *respond(json.dumps(_plain(scope)).encode(), headers=[(b"content-type", b"application/json")]))


async def echoes(scope: Any, receive: Any, send: Any) -> None:
    """Sends back what it receives, as it comes."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def counts(scope: Any, receive: Any, send: Any) -> None:
    """Says how long the body was, and in how many pieces it came."""
    assert scope["type"] == "http"
    size = pieces = 0
    more = True
    while more:
        message = await receive()
        size, pieces, more = size + len(message["body"]), pieces + 1, message["more_body"]
    await say(send, *respond(json.dumps({"bytes": size, "pieces": pieces}).encode()))


async def sends_much(scope: Any, receive: Any, send: Any) -> None:
    """Sends 100 MiB, and counts how many got away."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(1600):
        events.append(number)
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    await send({"type": "http.response.body"})


async def waits_for_the_end(scope: Any, receive: Any, send: Any) -> None:
    """Answers nothing, and waits until the client has left."""
    assert scope["type"] == "http"
    await receive()
    events.append("waits")
    events.append((await receive())["type"])
    try:
        await send({"type": "http.response.start", "status": 200})
    except OSError as error:
        events.append(type(error).__name__)
        raise


async def works_on(scope: Any, receive: Any, send: Any) -> None:
    """Does something after its answer."""
    assert scope["type"] == "http"
    await say(send, *respond(b"done"))
    events.append((await receive())["type"])
    await asyncio.sleep(0)
    events.append("after")


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("secret detail")


async def raises_late(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await say(send, *respond(b"begun", more_body=True))
    raise RuntimeError("late")


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    return None


async def says_half(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})


async def begins_twice(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.start", "status": 201})


async def sends_too_early(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.body", "body": b"early"})


async def sends_after_the_end(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await say(send, *respond(b"whole"))
    try:
        await send({"type": "http.response.body", "body": b"more"})
    except RuntimeError as error:
        events.append(str(error))


async def sends_text(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": "text"})


async def splits_the_answer(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await say(send, *respond(b"", headers=[(b"x-thing", b"a\r\nset-cookie: b=c")]))


async def promises_more(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await say(send, *respond(b"short", headers=[(b"content-length", b"10")]))


async def promises_less(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await say(send, *respond(b"longer", headers=[(b"content-length", b"3")], more_body=True))
    await send({"type": "http.response.body"})


async def keeps_its_word(scope: Any, receive: Any, send: Any) -> None:
    """A stream of a known length, with headers as lists."""
    assert scope["type"] == "http"
    headers = [[b"Content-Length", b"6"], [b"X-Thing", b"1"], [b"x-thing", b"2"], [b"connection", b"close"]]
    await say(send, *respond(b"abc", headers=headers, more_body=True))
    await send({"type": "http.response.body", "body": b"def"})


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    """Heeds nothing."""
    assert scope["type"] == "http"
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        events.append("cancelled")


class Lives:
    """An application with a lifespan, that says what happens to it."""

    def __init__(self, name: str = "lives", failure: str | None = None) -> None:
        self.name = name
        self.failure = failure

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"]["seen"] = True
            await say(send, *respond(json.dumps(scope["state"]).encode()))
            return
        assert (await receive())["type"] == "lifespan.startup"
        events.append(f"{self.name} begins")
        scope["state"]["name"] = self.name
        if self.failure is not None:
            await send({"type": "lifespan.startup.failed", "message": self.failure})
            return
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        events.append(f"{self.name} ends")
        await send({"type": "lifespan.shutdown.complete"})


lives = Lives()
fails_to_start = Lives("fails", "Traceback:\n  somewhere\nRuntimeError: no database")


def make() -> Lives:
    events.append("made")
    return Lives("made")


def make_of(name: str) -> Lives:
    return Lives(name)


def make_nothing() -> None:
    return None
