"""Where limits are counted, and what holds while that place does not answer; for every policy that limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import DurationOrZero


class SharedLimit(Model):
    """Where limits are counted."""

    store: Literal["auto", "redis", "local"] = Field(
        "auto",
        description="Where it is counted: in `redis`, together with all gateways that share it, or `local` to this "
        "gateway. `auto` takes the `redis` of the document, where there is one.",
    )
    on_store_failure: Literal["local_share", "allow", "deny"] = Field(
        "local_share",
        description="While Redis does not answer: count here, against the limit divided by the gateways that live; "
        "`allow` every request; or `deny` them with 503.",
    )

    def plan_shared(self) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        return {"store": self.store, "on_store_failure": self.on_store_failure}


class SyncedLimit(SharedLimit):
    """Where limits are counted, and whether requests wait for it."""

    sync: DurationOrZero = Field(
        0,
        description="Count here, and settle with Redis so often, such as `100ms`: no request waits for it, and "
        "gateways learn of each other that late. `0`: each request asks Redis, and the limit is exact.",
    )

    def plan_synced(self, check: Check, path: Path, windows: Iterable[int] = ()) -> dict[str, Any]:
        """The options of this class as the engine takes them; `windows`: milliseconds in which a limit begins anew."""
        where, sync = (*path, "sync"), int(self.sync)
        if sync and not LEAST_SYNC <= sync <= MOST_SYNC:
            check.problem(where, "bad_value", "expected `0`, or at least 10ms and at most 10s")
        if sync and self.store == "local":
            hint = "leave one of them out"
            check.problem(where, "bad_value", "with `store: local` there is nothing to settle with", hint)
        shortest = min(windows, default=None)
        if sync and shortest is not None and sync * 2 > shortest:
            hint = "take a shorter one, or a longer window"
            check.problem(where, "bad_value", "`sync` must be at most half of the shortest window", hint)
        return {**self.plan_shared(), "sync_ms": sync}


LEAST_SYNC = 10
MOST_SYNC = 10_000
