"""A connection on which a test sends and reads bytes by hand, as `tidegate.testing` has it."""

from tidegate.testing.raw import Raw

__all__ = ["Raw"]
