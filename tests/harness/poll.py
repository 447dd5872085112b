"""Waiting for a condition, as `tidegate.testing` does it."""

from tidegate.testing.waiting import DEADLINE, eventually

__all__ = ["DEADLINE", "eventually"]
