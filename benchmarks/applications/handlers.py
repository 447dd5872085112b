"""Handlers of Tidegate: the same small JSON, and some that do what a handler should not."""

import asyncio
import time
from typing import Any

from benchmarks.applications.answer import order


async def small_json(request: Any) -> dict[str, object]:
    """Answers with the small JSON."""
    return order(request.path)


def plain_small_json(request: Any) -> dict[str, object]:
    """Answers with the small JSON from a plain function, which runs on a thread."""
    return order(request.path)


def spin(request: Any) -> dict[str, object]:
    """Computes for a second, with the interpreter's lock held, before it answers."""
    end = time.monotonic() + 1
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
    return {"rounds": rounds}


async def block(request: Any) -> dict[str, object]:
    """Sleeps for a second on the loop that all coroutine handlers share."""
    time.sleep(1)  # noqa: ASYNC251 - what it is for
    return {}


KEPT: list[bytearray] = []
"""What is never let go."""


async def leak(request: Any) -> dict[str, object]:
    """Takes a hundred megabytes in a second, a megabyte at a time, and keeps them."""
    for _ in range(100):
        KEPT.append(bytearray(b"x" * (1 << 20)))
        await asyncio.sleep(0.01)
    return {"kept": len(KEPT)}
