"""Clients that count what became of every request they sent."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.soak.service import hang_up

LONGEST = 10.0
"""Seconds after which a request counts as stuck: the gateway gives up long before."""
LEAVING = 0.01
"""The share of requests whose client does not wait for the answer."""


@dataclass
class Tally:
    """What the clients saw."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """By status line, whole answers and those that were cut off."""
    codes: Counter[str] = field(default_factory=Counter)
    """Of problem documents."""
    cut: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    """What must never happen."""


async def ask_until(end: asyncio.Event, port: int, paths: list[str], tally: Tally, seed: int) -> None:
    """One client: asks again and again until told to stop."""
    chance = random.Random(seed)
    channel: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    number = 0
    while not end.is_set():
        number += 1
        if channel is None:
            channel = await asyncio.open_connection("127.0.0.1", port)
        mark = f"<{seed}-{number}>"
        channel[1].write(_request(chance, chance.choice(paths), mark))
        tally.sent += 1
        if chance.random() < LEAVING:
            await channel[1].drain()
            tally.left += 1
            keep = False
        else:
            keep = await _one_answer(channel[0], mark, tally)
        if not keep:
            await hang_up(channel[1])
            channel = None
    if channel is not None:
        await hang_up(channel[1])


def _request(chance: random.Random, path: str, mark: str) -> bytes:
    if chance.random() < 0.7:
        return f"GET {path} HTTP/1.1\r\nHost: soak\r\nX-Soak: {mark}\r\n\r\n".encode()
    body = "b" * chance.choice([0, 10, 3000])
    head = f"POST {path} HTTP/1.1\r\nHost: soak\r\nX-Soak: {mark}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def _one_answer(reader: asyncio.StreamReader, mark: str, tally: Tally) -> bool:
    """Reads one answer and counts it; whether the connection can be used again."""
    try:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONGEST)).decode("latin-1").lower()
    except TimeoutError:
        tally.wrong.append(f"{mark}: no answer after {LONGEST} s")
        return False
    except (OSError, asyncio.IncompleteReadError) as error:
        tally.wrong.append(f"{mark}: the connection ended before an answer: {error!r}")
        return False
    lines = head.split("\r\n")
    status, fields = int(lines[0][9:12]), dict(line.split(": ", 1) for line in lines[1:] if line)
    tally.statuses[status] += 1
    try:
        body = await asyncio.wait_for(reader.readexactly(int(fields["content-length"])), LONGEST)
    except TimeoutError:
        tally.wrong.append(f"{mark}: a body that stopped")
        return False
    except (OSError, asyncio.IncompleteReadError):
        tally.cut += 1
        return False
    if fields.get("content-type") == "application/problem+json":
        tally.codes[json.loads(body)["code"]] += 1
    elif status == 200 and body != mark.encode() * 20:
        tally.wrong.append(f"{mark}: another answer: {body[:60]!r}")
    return fields.get("connection") != "close"
