"""Who needs whom among the calls of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Edges = Mapping[int, Iterable[int]]
"""The calls that each call needs, by number."""


def cycle(edges: Edges, size: int) -> list[int] | None:
    """Calls that need each other in a circle, the first of the document first; `None` where there are none."""
    done: set[int] = set()
    for start in range(size):
        if start in done:
            continue
        way: list[int] = []
        stack: list[tuple[int, bool]] = [(start, False)]
        while stack:
            call, leaving = stack.pop()
            if leaving:
                way.pop()
                done.add(call)
            elif call in way:
                return _first_first(way[way.index(call) :])
            elif call not in done:
                way.append(call)
                stack.append((call, True))
                stack += [(needed, False) for needed in edges.get(call, ())]
    return None


def _first_first(circle: list[int]) -> list[int]:
    at = circle.index(min(circle))
    return circle[at:] + circle[:at]


def reachable(edges: Edges, starts: Iterable[int]) -> set[int]:
    """The calls that are made for some, with these."""
    found: set[int] = set()
    waiting = list(starts)
    while waiting:
        call = waiting.pop()
        if call not in found:
            found.add(call)
            waiting += edges.get(call, ())
    return found


def levels(edges: Edges, size: int) -> list[int]:
    """The level of each call: 0 needs none, the others are one above the highest that they need. There is no cycle."""
    found = [0] * size
    while True:
        again = [1 + max((found[needed] for needed in edges.get(call, ())), default=-1) for call in range(size)]
        if again == found:
            return found
        found = again


def longest_chain(edges: Edges, size: int) -> list[int]:
    """The longest chain of calls of which each needs the one before it."""
    of_level = levels(edges, size)
    if not size:
        return []
    chain = [max(range(size), key=lambda call: (of_level[call], -call))]
    while below := [needed for needed in edges.get(chain[0], ()) if of_level[needed] == of_level[chain[0]] - 1]:
        chain.insert(0, min(below))
    return chain
