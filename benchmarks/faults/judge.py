"""What a run was like, from the moments, latencies and statuses of its requests."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.faults.illness import RATE, SICK, Course

OK = 200
REFUSED = 503
"""What each of the gateways says for a service that it does not ask at the moment."""
WELL_FOR = 0.5
"""Seconds without a failure after which a service counts as back."""


@dataclass(frozen=True)
class Asked:
    """One request: seconds since the first, seconds until its answer, and the status (0 broken, 1 given up)."""

    due: float
    latency: float
    status: int

    @property
    def is_ok(self) -> bool:
        return self.status == OK


@dataclass(frozen=True)
class Timeline:
    """All requests, by service and in order, and how many the sick service saw during its illness."""

    services: list[list[Asked]]
    seen_while_sick: int

    @property
    def sick(self) -> list[Asked]:
        return self.services[SICK]

    @property
    def others(self) -> list[Asked]:
        return [asked for number, service in enumerate(self.services) if number != SICK for asked in service]

    @classmethod
    def read(cls, raw: list[dict[str, list[int]]], seen_while_sick: int) -> Timeline:
        def requests(service: dict[str, list[int]]) -> list[Asked]:
            columns = zip(service["due_us"], service["latency_us"], service["status"], strict=True)
            return [Asked(due / 1e6, latency / 1e6, status) for due, latency, status in columns]

        return cls([requests(service) for service in raw], seen_while_sick)


def judge(timeline: Timeline, course: Course) -> dict[str, float]:
    """The figures of a run; times in milliseconds, shares from 0 to 1."""
    sick, others = timeline.sick, timeline.others
    before = _between(others, course.warm_up, course.begin)
    during = _between(others, course.begin, course.end)
    settled = _between(sick, course.begin + course.settling, course.end)
    return {
        "others_p99_before_ms": p99(before),
        "others_p99_ms": p99(during),
        "others_p99_ratio": p99(during) / p99(before),
        "others_failed": failed(_between(others, course.warm_up, course.total)),
        "sick_p99_ms": p99(settled),
        **_refusals(settled),
        "load_ratio": timeline.seen_while_sick / (RATE * course.sick),
        "recovery_ms": 1000 * _recovery(sick, course),
        "sick_answered": 1 - failed(_between(sick, course.begin, course.end)),
    }


def _refusals(settled: list[Asked]) -> dict[str, float]:
    """What is promised holds for all requests; this tells apart those that were let through, as trials must be."""
    refused = [asked for asked in settled if asked.status == REFUSED]
    let_through = {"let_through": 1 - len(refused) / max(1, len(settled))}
    return {**let_through, "refused_p99_ms": p99(refused)} if refused else let_through


def _between(requests: Iterable[Asked], begin: float, end: float) -> list[Asked]:
    return [asked for asked in requests if begin <= asked.due < end]


def p99(requests: list[Asked]) -> float:
    """Milliseconds; 0 of no requests."""
    latencies = sorted(asked.latency for asked in requests)
    return 1000 * latencies[math.ceil(0.99 * len(latencies)) - 1] if latencies else 0.0


def failed(requests: list[Asked]) -> float:
    """The share of them; 0 of no requests."""
    return sum(not asked.is_ok for asked in requests) / max(1, len(requests))


def _recovery(sick: list[Asked], course: Course) -> float:
    """Seconds from the end of the illness to the first request after which all went well for a while."""
    after = _between(sick, course.end, course.total)
    back = course.end
    for asked in after:
        if not asked.is_ok:
            back = asked.due
        elif asked.due - back >= WELL_FOR:
            return back - course.end
    return course.after
