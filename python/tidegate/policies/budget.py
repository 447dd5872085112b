"""How much is allowed: one rate, in the ways people write it."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from tidegate.config import rates
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.rates import Rate
from tidegate.config.values import Duration, Integer

Algorithm = Literal["fixed_window", "sliding_window", "sliding_log", "token_bucket", "leaky_bucket"]
LARGEST_LOG = 10_000
_LARGEST_LEVEL = 1 << 62


class Budget(Model):
    """How much is allowed. `limit: 100/1m`, `requests: 100, window: 1m`, or `rate` and `burst`."""

    limit: Rate | None = Field(None, description="How many requests in which time, such as `100/1m`; or the number.")
    requests: Integer | None = Field(
        None, ge=1, le=rates.LARGEST_AMOUNT, description="The number alone, beside `window`."
    )
    window: Duration | None = Field(None, description="The time of a number that stands alone.")
    rate: Rate | None = Field(
        None, description="For buckets: how fast they refill or run out. A bare number is a second's."
    )
    burst: Integer | None = Field(
        None,
        ge=1,
        le=rates.LARGEST_AMOUNT,
        description="For `token_bucket`: how many may come at once. Unless set, as many as the limit.",
    )
    max_delay: Duration | None = Field(
        None, description="For `leaky_bucket`: the longest a request is held before it is refused. Unless set, `1s`."
    )

    def is_empty(self) -> bool:
        """Nothing says how much."""
        return self.limit is None and self.rate is None and self.requests is None

    def plan_budget(self, algorithm: Algorithm, check: Check, path: Path) -> dict[str, Any] | None:
        """The budget as the engine takes it."""
        found = self._amount(check, path)
        if found is None:
            return None
        amount, window = found
        window_us = window * 1000
        for name, of in (("burst", "token_bucket"), ("max_delay", "leaky_bucket")):
            if getattr(self, name) is not None and algorithm != of:
                check.problem((*path, name), "bad_value", f"`{name}` goes with `{of}`, not with `{algorithm}`")
        if algorithm == "sliding_log" and amount > LARGEST_LOG:
            hint = "use `sliding_window`, which keeps two numbers a key"
            check.problem(path, "bad_value", f"a `sliding_log` keeps every request, at most {LARGEST_LOG}", hint)
        burst = self.burst or amount
        delay_us = (1000 if self.max_delay is None else int(self.max_delay)) * 1000
        common = math.gcd(amount, window_us)
        if algorithm == "token_bucket" and burst * window_us // common > _LARGEST_LEVEL:
            check.problem((*path, "burst"), "bad_value", "the burst is too large for so long a window")
        if algorithm == "leaky_bucket" and delay_us * amount // common > _LARGEST_LEVEL:
            check.problem((*path, "max_delay"), "bad_value", "the delay is too long for so high a rate")
        return {"amount": amount, "window_us": window_us, "burst": burst, "delay_us": delay_us}

    def _amount(self, check: Check, path: Path) -> tuple[int, int] | None:
        """Amount and window in milliseconds."""
        given = [name for name in ("limit", "requests", "rate") if getattr(self, name) is not None]
        if not given:
            hint = "write `limit: 100/1m`, for example"
            check.problem(path, "missing", "nothing says how much is allowed", hint)
            return None
        for other in given[1:]:
            check.problem((*path, other), "bad_value", f"`{other}` says the same as `{given[0]}`; write one of them")
        amount, window = rates.parts(getattr(self, given[0]))
        if window is not None and self.window is not None:
            check.problem((*path, "window"), "bad_value", f"`{given[0]}` has its time already")
        window = window or (None if self.window is None else int(self.window))
        if window is None and given[0] == "rate":
            window = 1000
        if window is None:
            hint = f"write `{given[0]}: {amount}/1m`" if given[0] == "limit" else "write `window: 1m`, for example"
            check.problem((*path, given[0]), "missing", "the time is missing in which so many are allowed", hint)
            return None
        return amount, window
