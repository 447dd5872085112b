"""A service that misbehaves at random: what it answers with 200 names the request, so that no answer can go astray."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

SILENCE = 30.0
"""Seconds that a hanging answer takes, if nobody gives up before."""


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closes a connection, whatever became of it."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@dataclass
class FaultyService:
    """Serves HTTP/1.1 on a port of its own."""

    seed: int
    share_well: float = 0.9
    """Of all requests; the others meet one of the faults."""
    seen: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _talks: dict[asyncio.Future[None], asyncio.StreamWriter] = field(default_factory=dict)
    """Open connections."""
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def __aenter__(self) -> FaultyService:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_accepting()
        talks = dict(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in talks.values():
            writer.transport.abort()
            await hang_up(writer)

    async def fall_silent(self, seconds: float) -> None:
        """Refuses connections for a while."""
        await self._stop_accepting()
        await asyncio.sleep(seconds)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _stop_accepting(self) -> None:
        """Closes the server once what it has accepted has begun: asyncio forgets the sockets of what comes between."""
        assert self._server is not None
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(3):  # the turns of the loop that an accepted connection takes to begin
            await asyncio.sleep(0)
        self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._serve(reader, writer))
        self._talks[talk] = writer
        talk.add_done_callback(lambda done: self._talks.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        await hang_up(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(fields.get("content-length", "0")))
        self.seen += 1
        body = fields["x-soak"].encode() * 20
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        if self._random.random() < self.share_well:
            writer.write(answer)
            await writer.drain()
            return True
        return await self._misbehave(answer, reader, writer)

    async def _misbehave(self, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        half = len(answer) - 40
        match self._random.choice(["error", "reset", "close", "hang", "half", "stall", "drip", "junk", "busy"]):
            case "error":
                writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops")
                return True
            case "busy":
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
                return True
            case "reset":
                writer.transport.abort()
            case "half":
                writer.write(answer[:half])
            case "stall":
                writer.write(answer[:half])
                await self._until_gone(reader)
            case "hang":
                await self._until_gone(reader)
            case "drip":
                for at in range(0, len(answer), 64):
                    writer.write(answer[at : at + 64])
                    await writer.drain()
                    await asyncio.sleep(0.002)
                return True
            case "junk":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\njunk!")
        return False

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), SILENCE)
