"""WebSockets of the tests: applications and handlers."""

from __future__ import annotations

from typing import Any

from starlette.websockets import WebSocket as StarletteSocket
from starlette.websockets import WebSocketDisconnect
from tidegate import WebSocket

from tests.asgi.frameworks import bff

events: list[Any] = []


async def chat(socket: WebSocket) -> None:
    """Sends back what it gets, and ends at `bye`."""
    offered = socket.subprotocols
    await socket.accept(offered[0] if offered else None, {"x-thing": "1"})
    async for message in socket:
        if message == "bye":
            await socket.close(4000, "as you wish")
        elif isinstance(message, str):
            await socket.send_text(f"{socket.request.params['room']}: {message}")
        else:
            await socket.send_bytes(message)
    events.append("over")


async def refuses(socket: WebSocket) -> None:
    return None


async def fails(socket: WebSocket) -> None:
    await socket.accept()
    raise RuntimeError("secret")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """An application that says what it received."""
    if scope["type"] != "websocket":
        raise RuntimeError(scope["type"])
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"].endswith("/deny"):
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-why", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"no coffee"})
        return
    if scope["path"].endswith("/close"):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[-1]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", **{key: value for key, value in message.items() if key != "type"}})
    events.append((message["code"], message["reason"], scope["root_path"], scope["scheme"]))


@bff.websocket("/echo/{name}")
async def echo(socket: StarletteSocket, name: str) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_json({name: await socket.receive_json()})
    except WebSocketDisconnect as left:
        events.append(left.code)
