"""The five algorithms as plainly as they can be said, with fractions and lists; times are microseconds.

A model takes one arrival after another and says whether it passes, or by how long it is held. It knows nothing of the
engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

SECOND = 1_000_000


class Model(ABC):
    """One key under one limit."""

    @abstractmethod
    def arrive(self, now: int, cost: int) -> int | None:
        """How long the request is held, or `None` when it is refused."""


class FixedWindow(Model):
    def __init__(self, amount: int, window: int) -> None:
        self.amount, self.window = amount, window
        self.counts: dict[int, int] = {}

    def arrive(self, now: int, cost: int) -> int | None:
        number = now // self.window
        if self.counts.get(number, 0) + cost > self.amount:
            return None
        self.counts[number] = self.counts.get(number, 0) + cost
        return 0


class SlidingWindow(Model):
    """The previous window counts by the part of it that lies within the last window's length, rounded down."""

    def __init__(self, amount: int, window: int) -> None:
        self.amount, self.window = amount, window
        self.counts: dict[int, int] = {}

    def arrive(self, now: int, cost: int) -> int | None:
        number, elapsed = divmod(now, self.window)
        previous = Fraction(self.counts.get(number - 1, 0) * (self.window - elapsed), self.window)
        if int(previous) + self.counts.get(number, 0) + cost > self.amount:
            return None
        self.counts[number] = self.counts.get(number, 0) + cost
        return 0


class SlidingLog(Model):
    def __init__(self, amount: int, window: int) -> None:
        self.amount, self.window = amount, window
        self.log: list[tuple[int, int]] = []

    def arrive(self, now: int, cost: int) -> int | None:
        used = sum(cost for at, cost in self.log if now - at < self.window)
        if used + cost > self.amount:
            return None
        self.log.append((now, cost))
        return 0


class TokenBucket(Model):
    """The generic cell rate algorithm as its standard has it: by the theoretical arrival time."""

    def __init__(self, amount: int, window: int, burst: int) -> None:
        self.interval = Fraction(window, amount)
        self.burst = burst
        self.theoretical = Fraction(0)

    def arrive(self, now: int, cost: int) -> int | None:
        begins = max(self.theoretical, Fraction(now))
        ends = begins + self.interval * cost
        if ends - now > self.interval * self.burst:
            return None
        self.theoretical = ends
        return 0


class LeakyBucket(Model):
    """A queue that is served at a steady rate: who would wait too long is refused."""

    def __init__(self, amount: int, window: int, delay: int) -> None:
        self.interval = Fraction(window, amount)
        self.delay = delay
        self.free = Fraction(0)

    def arrive(self, now: int, cost: int) -> int | None:
        begins = max(self.free, Fraction(now))
        if begins - now > self.delay:
            return None
        self.free = begins + self.interval * cost
        return -((now - begins) // 1)
