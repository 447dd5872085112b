"""Every algorithm against a plain model, against the library `limits`, and against the bound that its page states."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate import _native

from tests.limits.models import SECOND, FixedWindow, LeakyBucket, Model, SlidingLog, SlidingWindow, TokenBucket

START = 1_800_000_000 * SECOND
Arrivals = list[tuple[int, int]]
"""Time and cost."""


class Limit(NamedTuple):
    algorithm: str
    amount: int
    window: int
    burst: int = 1
    delay: int = 0


class Told(NamedTuple):
    passed: bool
    charged: bool
    wait: float
    remaining: int
    reset: int


MODELS: dict[str, Callable[[Limit], Model]] = {
    "fixed_window": lambda limit: FixedWindow(limit.amount, limit.window),
    "sliding_window": lambda limit: SlidingWindow(limit.amount, limit.window),
    "sliding_log": lambda limit: SlidingLog(limit.amount, limit.window),
    "token_bucket": lambda limit: TokenBucket(limit.amount, limit.window, limit.burst),
    "leaky_bucket": lambda limit: LeakyBucket(limit.amount, limit.window, limit.delay),
}
ALGORITHMS = pytest.mark.parametrize("algorithm", MODELS)


def run(limits: list[Limit], arrivals: Arrivals, refunds: frozenset[int] = frozenset()) -> list[list[Told]]:
    """What the engine says of each arrival and limit; `refunds`: arrivals at which the one before is given back."""
    timed = [(at, cost, index in refunds) for index, (at, cost) in enumerate(arrivals)]
    answers = _native.limits_trace(limits, timed)
    return [[Told(p, c, inf if w is None else w, left, back) for p, c, w, left, back in told] for told in answers]


def one(limit: Limit, arrivals: Arrivals, refunds: frozenset[int] = frozenset()) -> list[Told]:
    return [told for (told,) in run([limit], arrivals, refunds)]


@st.composite
def limit_of(draw: st.DrawFn, algorithm: str) -> Limit:
    amount = draw(st.integers(1, 12))
    window = draw(st.sampled_from([1000, 999_983, SECOND, 3 * SECOND, 60 * SECOND]))
    return Limit(algorithm, amount, window, draw(st.integers(1, 15)), draw(st.integers(0, 2 * window)))


@st.composite
def arrivals_for(draw: st.DrawFn, window: int, most_cost: int = 3) -> Arrivals:
    """Bursts, gaps around the length of a window, and what lies between."""
    near = [0, 1, window // 3, window - 1, window, window + 1, 2 * window, 5 * window]
    gap = st.one_of(st.just(0), st.integers(0, window // 4), st.sampled_from(near))
    gaps = draw(st.lists(gap, min_size=1, max_size=60))
    costs = draw(st.lists(st.integers(1, most_cost), min_size=len(gaps), max_size=len(gaps)))
    return list(zip(accumulate(gaps, initial=START), costs, strict=False))


@ALGORITHMS
@given(data=st.data())
def test_it_decides_as_its_model(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))
    arrivals = data.draw(arrivals_for(limit.window))
    model = MODELS[algorithm](limit)
    decided = [int(told.wait) if told.passed else None for told in one(limit, arrivals)]
    assert decided == [model.arrive(at, cost) for at, cost in arrivals]


@ALGORITHMS
@given(data=st.data())
def test_who_is_refused_is_told_the_first_moment_that_would_do(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))
    arrivals = data.draw(arrivals_for(limit.window))
    refused = [index for index, told in enumerate(one(limit, arrivals)) if not told.passed]
    if not refused:
        return
    index = data.draw(st.sampled_from(refused))
    before, (at, cost) = arrivals[: index + 1], arrivals[index]
    wait = one(limit, before)[-1].wait
    if wait == inf:
        assert cost > (limit.burst if algorithm == "token_bucket" else limit.amount)
        return
    assert one(limit, [*before, (at + int(wait), cost)])[-1].passed
    assert not one(limit, [*before, (at + int(wait) - 1, cost)])[-1].passed


@ALGORITHMS
@given(data=st.data())
def test_what_remains_is_what_would_still_pass_and_comes_back_when_it_says(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))
    arrivals = data.draw(arrivals_for(limit.window))
    last = one(limit, arrivals)[-1]
    at = arrivals[-1][0]
    more = one(limit, [*arrivals, *[(at, 1)] * 40])[len(arrivals) :]
    assert sum(told.passed for told in more) == min(40, last.remaining)
    whole = one(limit, [(START, 1)])[0].remaining
    # Windows begin at full ones, so a fresh key is compared at the same place in its window.
    later = at + last.reset
    assert one(limit, [*arrivals, (later, 1)])[-1].remaining == one(limit, [(later, 1)])[0].remaining == whole


@given(data=st.data())
def test_several_limits_are_charged_together_or_not_at_all(data: st.DataObject) -> None:
    limits = [data.draw(limit_of(data.draw(st.sampled_from(sorted(MODELS))))) for _ in range(3)]
    arrivals = data.draw(arrivals_for(limits[0].window))
    passed: Arrivals = []
    for index, (at, cost) in enumerate(arrivals):
        # Each limit alone, fed with what all of them let through, says the same.
        alone = [one(limit, [*passed, (at, cost)])[-1] for limit in limits]
        together = run(limits, arrivals[: index + 1])[-1]
        assert [told.passed for told in together] == [told.passed for told in alone]
        goes = all(told.passed for told in alone)
        assert {told.charged for told in together} == {goes}
        if goes:
            passed.append((at, cost))


@ALGORITHMS
@given(data=st.data())
def test_a_charge_that_is_given_back_at_once_was_never_there(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))
    arrivals = data.draw(arrivals_for(limit.window))
    kept = one(limit, arrivals)
    at, cost = data.draw(st.sampled_from(arrivals))
    index = arrivals.index((at, cost))
    doubled = [*arrivals[:index], (at, cost), *arrivals[index:]]
    found = one(limit, doubled, frozenset({index + 1}))
    assert [*found[:index], *found[index + 1 :]] == kept


# ---- bounds


def most_in(passed: Arrivals, length: int) -> int:
    """The most that passed in any half-open stretch of that length."""
    return max((sum(cost for at, cost in passed if 0 <= at - begin < length) for begin, _ in passed), default=0)


def let_through(limit: Limit, arrivals: Arrivals) -> Arrivals:
    told = one(limit, arrivals)
    return [arrival for arrival, told in zip(arrivals, told, strict=True) if told.passed]


@given(data=st.data())
def test_a_fixed_window_holds_its_limit_and_any_stretch_twice_that(data: st.DataObject) -> None:
    limit = data.draw(limit_of("fixed_window"))
    passed = let_through(limit, data.draw(arrivals_for(limit.window)))
    for number in {at // limit.window for at, _ in passed}:
        assert sum(cost for at, cost in passed if at // limit.window == number) <= limit.amount
    assert most_in(passed, limit.window) <= 2 * limit.amount


@given(data=st.data())
def test_a_sliding_window_holds_its_limit_and_any_stretch_twice_that(data: st.DataObject) -> None:
    limit = data.draw(limit_of("sliding_window"))
    passed = let_through(limit, data.draw(arrivals_for(limit.window)))
    for number in {at // limit.window for at, _ in passed}:
        assert sum(cost for at, cost in passed if at // limit.window == number) <= limit.amount
    assert most_in(passed, limit.window) <= 2 * limit.amount


@given(data=st.data())
def test_no_stretch_holds_more_than_a_sliding_log_allows(data: st.DataObject) -> None:
    limit = data.draw(limit_of("sliding_log"))
    passed = let_through(limit, data.draw(arrivals_for(limit.window)))
    assert most_in(passed, limit.window) <= limit.amount


@given(data=st.data())
def test_a_token_bucket_lets_through_its_burst_and_what_refills(data: st.DataObject) -> None:
    limit = data.draw(limit_of("token_bucket"))
    passed = let_through(limit, data.draw(arrivals_for(limit.window)))
    for length in {at - begin for begin, _ in passed for at, _ in passed if at >= begin}:
        within = most_in(passed, length + 1)
        assert (within - limit.burst) * limit.window <= length * limit.amount


@given(data=st.data())
def test_a_leaky_bucket_keeps_its_distance_and_its_longest_delay(data: st.DataObject) -> None:
    limit = data.draw(limit_of("leaky_bucket"))
    arrivals = data.draw(arrivals_for(limit.window))
    told = one(limit, arrivals)
    held = [(at + int(told.wait), cost) for (at, cost), told in zip(arrivals, told, strict=True) if told.passed]
    assert all(told.wait <= limit.delay for told in told if told.passed)
    for (begun, cost), (then, _) in pairwise(held):
        # Each begins up to a microsecond late, since moments are whole.
        assert (then - begun + 1) * limit.amount >= cost * limit.window


# ---- a clock that is moved


@ALGORITHMS
@given(data=st.data())
def test_a_clock_that_is_moved_back_gives_nothing_and_locks_nobody_out(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))._replace(delay=0)
    moved = st.sampled_from([-3600 * SECOND, -3 * limit.window, -limit.window, -limit.window // 2, -1, 0, 1])
    gaps = data.draw(st.lists(moved, min_size=1, max_size=60))
    arrivals = [(at, 1) for at in accumulate(gaps, initial=START)]
    passed = sum(told.passed for told in one(limit, arrivals))
    forward = sum(gap for gap in gaps if gap > 0)
    if algorithm.endswith("window"):
        # A step forward may be the one into the next window.
        assert passed <= limit.amount * (1 + sum(gap > 0 for gap in gaps))
    else:
        budget = limit.burst if algorithm == "token_bucket" else limit.amount
        assert passed <= budget + 1 + forward * limit.amount // limit.window
    now = arrivals[-1][0] + 2 * limit.window + 2 * limit.burst * limit.window
    assert one(limit, [*arrivals, (now, 1)])[-1].passed


@ALGORITHMS
@given(data=st.data())
def test_workers_whose_clocks_differ_a_little_gain_nothing(algorithm: str, data: st.DataObject) -> None:
    limit = data.draw(limit_of(algorithm))._replace(delay=0)
    late = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=60))
    arrivals = [(START + limit.window // 2 - behind, 1) for behind in late]
    budget = limit.burst if algorithm == "token_bucket" else 1 if algorithm == "leaky_bucket" else limit.amount
    refilled = 50 * limit.amount // limit.window
    assert sum(told.passed for told in one(limit, arrivals)) <= budget + refilled + 1
