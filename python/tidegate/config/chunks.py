"""Splits."""

from __future__ import annotations

from typing import NamedTuple


class Chunk(NamedTuple):
    """A chunk."""

    key: str


def split(text: str) -> list[Chunk] | None:
    """Not yet."""
    return None
