"""Limits how many requests share one budget in a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from tidegate.config import rates
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.rates import UNLIMITED, RateOrUnlimited
from tidegate.config.values import Truth
from tidegate.policies.budget import Algorithm, Budget
from tidegate.policies.limit_charge import CountedOrRefused, LimitCharge, plan_statuses
from tidegate.policies.limit_key import LimitKey
from tidegate.policies.limit_stage import Stage, check_early, early_names
from tidegate.policies.policy import Policy
from tidegate.policies.shared import SyncedLimit

MOST_LIMITS = 16


if TYPE_CHECKING:
    TierBudget: TypeAlias = int | str | Budget
else:
    TierBudget = Annotated[
        Annotated[RateOrUnlimited, Tag("[rate]")] | Annotated[Budget, Tag("[budget]")],
        Discriminator(lambda value: "[budget]" if isinstance(value, dict | Budget) else "[rate]"),
    ]


class Limit(LimitCharge, LimitKey, Budget):
    """One limit."""

    stage: Stage | None = Field(
        None,
        description="When it acts. `before_authentication`: nobody has looked at the credentials, so `key` names what "
        "a request itself shows, by default the client's address. Unless set: `after_authentication`, and before it "
        "where `count` is `refused_credentials`.",
    )
    count: CountedOrRefused = Field(
        "all",
        description="Which requests are charged, by their answer: `success` is below 400, `errors` the others, or "
        "`{status: [...]}`. `refused_credentials`: those whose credentials the gateway refuses with 401. All are "
        "charged when they come; what does not count is given back with the answer, or once the credentials are good.",
    )
    algorithm: Algorithm | None = Field(
        None,
        description="How it counts. Unless set: `token_bucket` where `rate` or `burst` is set, else `sliding_window`.",
    )
    tiers: dict[str, TierBudget] = Field(
        default_factory=dict,
        description="Other budgets by tier: a rate, a mapping of its parts, or `unlimited`. Who has none of these "
        "tiers gets the limit's own.",
    )

    def plan_limit(self, check: Check, path: Path) -> dict[str, Any]:
        """The limit as the engine takes it."""
        bucket = self.rate is not None or self.burst is not None
        algorithm: Algorithm = self.algorithm or ("token_bucket" if bucket else "sliding_window")
        budget = self.plan_budget(algorithm, check, path)
        planned = {
            **self.plan_key(check, path),
            "algorithm": algorithm,
            "budget": budget,
            "tiers": [
                {"tier": tier, "budget": self._tier(own, algorithm, check, (*path, "tiers", tier))}
                for tier, own in self.tiers.items()
            ],
            **self.plan_charge(check, path),
            "count": self._plan_count(check, path),
        }
        if self.is_early():
            check_early(planned, self.model_fields_set, check, path)
        return planned

    def is_early(self) -> bool:
        """It acts before authentication."""
        return (self.stage or _stage_of(self.count)) == "before_authentication"

    def _plan_count(self, check: Check, path: Path) -> str | dict[str, Any]:
        if self.count != "refused_credentials":
            return {"statuses": plan_statuses(self.count)}
        if not self.is_early():
            message = "`refused_credentials` are counted before authentication: who is behind it has none"
            check.problem((*path, "count"), "bad_value", message, "leave `stage` out")
        return "refused_credentials"

    def _tier(self, own: int | str | Budget, algorithm: Algorithm, check: Check, path: Path) -> dict[str, Any] | None:
        if own == UNLIMITED:
            return None
        if not isinstance(own, Budget):
            own = Budget.model_construct(limit=own, window=self._own_window() if isinstance(own, int) else None)
        return own.plan_budget(algorithm, check, path)

    def _own_window(self) -> int | None:
        """The time that a bare number of a tier is meant in: the limit's own."""
        written = self.limit if self.limit is not None else self.rate
        window = None if written is None else rates.parts(written)[1]
        if window is None and self.window is not None:
            return int(self.window)
        return 1000 if window is None and self.rate is not None else window


class RateLimit(Policy, Limit, SyncedLimit):
    """Limits how many requests share one budget in a time. One limit stands here itself; several stand in `limits`."""

    limits: list[Limit] = Field(
        default_factory=list,
        description="Several limits: a request passes when all allow it, and only then is it charged to any. What is "
        "set beside `limits` holds for those that do not set it.",
    )
    headers: Truth = Field(True, description="Set `RateLimit` and `RateLimit-Policy` on every answer.")

    @classmethod
    def names(cls, name: str) -> tuple[str, ...]:
        """One for each stage."""
        return early_names(name)

    def parts(self, name: str, check: Check, path: Path) -> dict[str, dict[str, Any]]:
        """The options as the engine takes them: the limits of each stage."""
        stages: dict[str, list[dict[str, Any]]] = {}
        early, known = early_names(name)
        all_limits = self._limits(check, path)
        for is_early, limit in all_limits:
            stages.setdefault(early if is_early else known, []).append(limit)
        synced = self._plan_synced([limit for _, limit in all_limits], check, path)
        return {stage: {"limits": limits, "headers": self.headers, **synced} for stage, limits in stages.items()}

    def _limits(self, check: Check, path: Path) -> list[tuple[bool, dict[str, Any]]]:
        """Whether each acts before authentication, and its part of the plan."""
        if not self.limits:
            return [(self.is_early(), self.plan_limit(check, path))]
        own = {"limit", "requests", "window", "rate", "burst", "max_delay", "name"} & self.model_fields_set
        for name in sorted(own):
            check.problem((*path, name), "bad_value", f"`{name}` stands in each of `limits`, not beside them")
        if len(self.limits) > MOST_LIMITS:
            check.problem((*path, "limits"), "bad_value", f"there may be at most {MOST_LIMITS} limits")
        shared = {name: getattr(self, name) for name in (self.model_fields_set & set(Limit.model_fields)) - own}
        limits: list[tuple[bool, dict[str, Any]]] = []
        for index, limit in enumerate(self.limits):
            inherited = {name: value for name, value in shared.items() if name not in limit.model_fields_set}
            whole = limit.model_copy(update=inherited)
            limits.append((whole.is_early(), whole.plan_limit(check, (*path, "limits", index))))
        names = [limit.name for limit in self.limits]
        for index, name in enumerate(names):
            if name in names[:index]:
                hint = "give each of them a `name`"
                check.problem((*path, "limits", index), "duplicate_name", f"there is a limit `{name}` already", hint)
        return limits

    def _plan_synced(self, limits: list[dict[str, Any]], check: Check, path: Path) -> dict[str, Any]:
        """Windows that are settled too seldom would be over before gateways hear of each other."""
        windows: list[int] = []
        for index, limit in enumerate(limits):
            where = (*path, "limits", index) if self.limits else path
            if limit["algorithm"] == "sliding_log" and self.sync:
                hint = "take `sliding_window` for it, or leave `sync` out"
                message = "a `sliding_log` never lets more than its limit pass, so it cannot be settled in batches"
                check.problem((*where, "algorithm"), "bad_value", message, hint)
            if limit["algorithm"] in ("fixed_window", "sliding_window"):
                budgets = [limit["budget"], *(tier["budget"] for tier in limit["tiers"])]
                windows += [budget["window_us"] // 1000 for budget in budgets if budget is not None]
        return self.plan_synced(check, path, windows)


def _stage_of(count: CountedOrRefused) -> Stage:
    return "before_authentication" if count == "refused_credentials" else "after_authentication"
