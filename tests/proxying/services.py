"""A FastAPI app, as people write them, for uvicorn to serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/items/{item}")
async def item(item: int, request: Request, q: str | None = None) -> dict[str, object]:
    assert request.client is not None
    return {"item": item, "q": q, "host": request.headers["host"], "for": request.headers["x-forwarded-for"]}


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"bytes": sum([len(piece) async for piece in request.stream()])}


@app.get("/stream/{count}")
async def stream(count: int) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(count):
            yield f"data: {number}\n\n".encode()
            await asyncio.sleep(0)

    return StreamingResponse(pieces(), media_type="text/event-stream")


@app.delete("/items/{item}", status_code=204)
async def remove(item: int) -> Response:
    return Response(status_code=204)


@app.get("/fail")
async def fail() -> None:
    raise RuntimeError("a bug in the app")


@app.websocket("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol="chat")
    async for text in socket.iter_text():
        await socket.send_text(text.upper())
    await socket.close()
