"""Waits for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 20.0
"""Seconds after which a test gives up. Generous: only a failing test ever waits so long."""


def eventually(condition: Callable[[], T], what: str = "the condition", deadline: float = DEADLINE) -> T:
    """The first true value of `condition`, an `AssertionError` counting as false; fails after `deadline` seconds."""
    until = time.monotonic() + deadline
    pause = 0.001
    while True:
        try:
            if value := condition():
                return value
            error = None
        except AssertionError as raised:
            error = raised
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come about within {deadline} s") from error
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
