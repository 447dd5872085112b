"""What the runs with a sick service are judged by."""

import pytest

from benchmarks.faults.illness import RATE, Course
from benchmarks.faults.judge import Asked, Timeline, judge

COURSE = Course(warm_up=1, before=1, sick=3, after=2, settling=1)


def timeline(sick_while_ill: list[Asked]) -> Timeline:
    healthy = [Asked(at / 100, 0.010, 200) for at in range(700)]
    sick = [asked for asked in healthy if not COURSE.begin <= asked.due < COURSE.end]
    return Timeline([sorted([*sick, *sick_while_ill], key=lambda it: it.due), healthy, healthy], round(RATE))


def ill(latency: float, status: int, *, trials: int = 0) -> list[Asked]:
    """Requests from the begin to the end of the illness, so many of which at its end are trials that take 0.1 s."""
    due = [COURSE.begin + at / 100 for at in range(300)]
    refused = [Asked(at, latency, status) for at in due[: len(due) - trials]]
    return refused + [Asked(at, 0.1, 200) for at in due[len(due) - trials :]]


def test_requests_that_are_refused_and_those_let_through_are_told_apart() -> None:
    figures = judge(timeline(ill(0.002, 503, trials=4)), COURSE)
    assert figures["sick_p99_ms"] == pytest.approx(100)
    assert figures["refused_p99_ms"] == pytest.approx(2)
    assert figures["let_through"] == pytest.approx(4 / 200)


def test_who_refuses_nothing_has_no_time_of_refusal() -> None:
    figures = judge(timeline(ill(0.1, 200)), COURSE)
    assert "refused_p99_ms" not in figures
    assert figures["let_through"] == 1


def test_the_others_are_compared_with_themselves_before() -> None:
    figures = judge(timeline(ill(0.002, 503)), COURSE)
    assert figures["others_p99_ratio"] == pytest.approx(1)
    assert figures["others_failed"] == 0
    assert figures["load_ratio"] == pytest.approx(1 / 3)
