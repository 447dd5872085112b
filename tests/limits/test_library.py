"""The same arrivals through the library `limits`: the same decisions.

Times are whole 64ths of a second and windows powers of two seconds, so that the library's floats are exact.
"""

from __future__ import annotations

import time
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from tidegate import _native

from tests.limits.models import SECOND

TICK = SECOND // 64
START = 1_800_000_000 * 64


class Storage(MemoryStorage):
    """Without its threads, which would tidy up at moments of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.timer.cancel()

    def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802
        pass


arrivals = st.lists(
    st.tuples(st.one_of(st.just(0), st.integers(0, 40), st.integers(0, 600)), st.integers(1, 3)),
    min_size=1,
    max_size=60,
)
amounts = st.integers(1, 12)
windows = st.sampled_from([1, 2, 4, 8])
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def timed(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ticks and costs."""
    ticks = list(accumulate((gap for gap, _ in gaps), initial=START))[1:]
    return [(tick, cost) for tick, (_, cost) in zip(ticks, gaps, strict=True)]


def engine(algorithm: str, amount: int, window: int, asked: list[tuple[int, int]]) -> list[bool]:
    trace = [(tick * TICK, cost, False) for tick, cost in asked]
    return [told[0] for (told,) in _native.limits_trace([(algorithm, amount, window, 1, 0)], trace)]


@relaxed
@given(gaps=arrivals, amount=amounts, window=windows)
def test_a_fixed_window_decides_as_the_library(
    monkeypatch: pytest.MonkeyPatch, gaps: list[tuple[int, int]], amount: int, window: int
) -> None:
    # The library charges what it refuses, so only costs of 1 can be compared; and its windows begin with their first
    # request, so it is told which of ours a request belongs to.
    asked = [(tick, 1) for tick, _ in timed(gaps)]
    limiter = FixedWindowRateLimiter(Storage())
    item = RateLimitItemPerSecond(amount, window)
    hits = [hit(monkeypatch, limiter, item, tick, 1, str(tick // (64 * window))) for tick, _ in asked]
    assert engine("fixed_window", amount, window * SECOND, asked) == hits


@relaxed
@given(gaps=arrivals, amount=amounts, window=windows)
def test_a_sliding_window_decides_as_the_library(
    monkeypatch: pytest.MonkeyPatch, gaps: list[tuple[int, int]], amount: int, window: int
) -> None:
    asked = timed(gaps)
    limiter = SlidingWindowCounterRateLimiter(Storage())
    item = RateLimitItemPerSecond(amount, window)
    hits = [hit(monkeypatch, limiter, item, tick, cost, "key") for tick, cost in asked]
    assert engine("sliding_window", amount, window * SECOND, asked) == hits


@relaxed
@given(gaps=arrivals, amount=amounts, window=windows)
def test_a_sliding_log_decides_as_the_library(
    monkeypatch: pytest.MonkeyPatch, gaps: list[tuple[int, int]], amount: int, window: int
) -> None:
    asked = timed(gaps)
    limiter = MovingWindowRateLimiter(Storage())
    item = RateLimitItemPerSecond(amount, window)
    hits = [hit(monkeypatch, limiter, item, tick, cost, "key") for tick, cost in asked]
    # To the library a request counts for the whole window and its last moment, to us for less than a window.
    assert engine("sliding_log", amount, window * SECOND + 1, asked) == hits


def hit(monkeypatch: pytest.MonkeyPatch, limiter: Any, item: Any, tick: int, cost: int, key: str) -> bool:
    monkeypatch.setattr(time, "time", lambda: tick / 64)
    try:
        return bool(limiter.hit(item, key, cost=cost))
    finally:
        monkeypatch.undo()
