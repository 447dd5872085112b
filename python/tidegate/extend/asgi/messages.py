"""What applications and their server say to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HTTP = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}}
"""The parts of a scope that all requests have. From 2.4 on, sending to a client that has left raises `OSError`."""
WEBSOCKET = {
    "type": "websocket",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "extensions": {"websocket.http.response": {}},
}
LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}


class ClientLeftError(OSError):
    """Nobody wants the answer any more: the client left, or the route's time was over."""

    def __init__(self) -> None:
        super().__init__("the client left before its answer was complete")


def is_for_nobody(error: BaseException | None) -> bool:
    """Whether an error only says that the client has left, in whatever it was wrapped on its way."""
    for _ in range(16):
        if error is None or isinstance(error, ClientLeftError):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, ClientLeftError)


def unexpected(kind: object, state: str) -> RuntimeError:
    """An application said what means nothing now."""
    return RuntimeError(f"unexpected ASGI message `{kind}`: {state}")


def content(body: object) -> bytes:
    """The bytes of a body; what is none is a mistake of the application."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"the body of an ASGI message is bytes, not {type(body).__name__}")
