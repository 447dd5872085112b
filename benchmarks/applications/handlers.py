"""Handlers of Tidegate: the same small JSON, and one that never gives the interpreter back."""

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
