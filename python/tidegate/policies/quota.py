"""Limits how much a caller uses in a calendar hour, day, week or month."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from tidegate.config import paths, zones
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Integer, Text, Truth
from tidegate.policies.limit_charge import Counted, LimitCharge, plan_statuses
from tidegate.policies.limit_key import LimitKey
from tidegate.policies.policy import Policy
from tidegate.policies.shared import SyncedLimit

MOST = (1 << 48) - 1
MOST_QUOTAS = 16
Period = Literal["hour", "day", "week", "month"]
_WRITTEN = re.compile(r"([0-9][0-9_]*) ?/ ?(hour|day|week|month)")


class QuotaAmount(Model):
    """How much, in which period."""

    limit: Integer | Text | None = Field(
        None, description="How much may be used in a period: `10000/month`, or the number beside `period`."
    )
    period: Period | None = Field(
        None, description="`hour`, `day`, `week` (from Monday on) or `month`, as the calendar has them."
    )
    timezone: Text = Field(
        "UTC",
        description="Time zone of the calendar, such as `Europe/Berlin`; its days may have 23 or 25 hours.",
    )
    tiers: dict[str, Integer | Literal["unlimited"]] = Field(
        default_factory=dict,
        description="Other amounts by tier: a number or `unlimited`. Who has none of these tiers gets `limit`.",
    )

    def plan_amount(self, check: Check, path: Path) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        amount, period = self._amount(check, path)
        fault = zones.problem_of(self.timezone)
        if fault is not None:
            check.problem((*path, "timezone"), "bad_value", *fault)
        for tier, most in self.tiers.items():
            if isinstance(most, int) and not 1 <= most <= MOST:
                check.problem((*path, "tiers", tier), "bad_value", f"a quota must be at least 1 and at most {MOST}")
        return {
            "amount": amount,
            "period": period,
            "timezone": self.timezone,
            "zone": zones.planned("UTC" if fault is not None else self.timezone),
            "tiers": [
                {"tier": tier, "most": None if most == "unlimited" else most} for tier, most in self.tiers.items()
            ],
        }

    def _amount(self, check: Check, path: Path) -> tuple[int, str]:
        if self.limit is None:
            check.problem((*path, "limit"), "missing", "`limit` is missing", "write `limit: 10000/month`, for example")
            return 1, "day"
        period: str | None = self.period
        amount = self.limit
        if isinstance(amount, str):
            match = _WRITTEN.fullmatch(amount)
            if match is None:
                message = f"expected a quota such as `10000/month`, got {quote(amount)}"
                hint = "a period is an `hour`, a `day`, a `week` or a `month`; for rates there is `rate_limit`"
                check.problem((*path, "limit"), "bad_value", message, hint)
                return 1, "day"
            if period is not None and period != match[2]:
                check.problem((*path, "period"), "bad_value", f"`limit` says `{match[2]}` already")
            amount, period = int(match[1].replace("_", "")[:20]), match[2]
        if period is None:
            hint = f"write `{amount}/month`, for example"
            check.problem((*path, "limit"), "missing", "the period is missing in which so much may be used", hint)
        if not 1 <= amount <= MOST:
            check.problem((*path, "limit"), "bad_value", f"a quota must be at least 1 and at most {MOST}")
        return amount, period or "day"


class QuotaLimit(LimitCharge, LimitKey, QuotaAmount):
    """One quota."""

    count: Counted = Field(
        "all",
        description="Which answers are charged: `success` is below 400, `errors` the others, or `{status: [...]}`. All "
        "are charged when they come; what does not count is given back with the answer.",
    )

    def plan_limit(self, check: Check, path: Path) -> dict[str, Any]:
        """The quota as the engine takes it."""
        return {
            **self.plan_key(check, path),
            **self.plan_amount(check, path),
            **self.plan_charge(check, path),
            "count": plan_statuses(self.count),
        }


class Quota(Policy, QuotaLimit, SyncedLimit):
    """Limits how much a caller uses in a calendar period. One quota stands here itself; several stand in `limits`."""

    limits: list[QuotaLimit] = Field(
        default_factory=list,
        description="Several quotas: a request passes when all allow it, and only then is it charged to any. What is "
        "set beside `limits` holds for those that do not set it.",
    )
    headers: Truth = Field(True, description="Set `RateLimit` and `RateLimit-Policy` on every answer.")
    usage_path: Text | None = Field(
        None,
        description="Path at which the gateway itself tells callers what they have used, as JSON, for nothing. "
        "A route with this policy must match it.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {
            "limits": self._limits(check, path),
            "headers": self.headers,
            "usage_path": self._usage(check, path),
            **self.plan_synced(check, path),
        }

    def _usage(self, check: Check, path: Path) -> str | None:
        return None if self.usage_path is None else _usage_path(self.usage_path, check, (*path, "usage_path"))

    def _limits(self, check: Check, path: Path) -> list[dict[str, Any]]:
        if not self.limits:
            return [self.plan_limit(check, path)]
        own = {"limit", "period", "name"} & self.model_fields_set
        for name in sorted(own):
            check.problem((*path, name), "bad_value", f"`{name}` stands in each of `limits`, not beside them")
        if len(self.limits) > MOST_QUOTAS:
            check.problem((*path, "limits"), "bad_value", f"there may be at most {MOST_QUOTAS} quotas")
        shared = {name: getattr(self, name) for name in self.model_fields_set - own if name in QuotaLimit.model_fields}
        limits: list[dict[str, Any]] = []
        for index, limit in enumerate(self.limits):
            place = (*path, "limits", index)
            inherited = {name: value for name, value in shared.items() if name not in limit.model_fields_set}
            planned = limit.model_copy(update=inherited).plan_limit(check, place)
            if any((planned["name"], planned["period"]) == (known["name"], known["period"]) for known in limits):
                message = f"there is a quota `{planned['name']}` for a {planned['period']} already"
                check.problem(place, "duplicate_name", message, "give each of them a `name`")
            limits.append(planned)
        return limits


def _usage_path(text: str, check: Check, path: Path) -> str:
    """Its path, which must be a route's own where the policy stands at one."""
    own = _path(text, check, path)
    plain = [known.rstrip("/") for known in check.paths if known.startswith("/") and "{" not in known]
    if plain and len(plain) == len(check.paths) and not any(f"{own}/".startswith(f"{known}/") for known in plain):
        message = f"{quote(own)} is not below a path of this route, so nothing would get there"
        check.problem(path, "bad_path", message, f"write `usage_path: {plain[0]}/usage`")
    return own


def _path(text: str, check: Check, path: Path) -> str:
    """The normal form of a path, as the engine compares it."""
    problems: list[tuple[str, str | None]] = []
    if not text.startswith("/"):
        problems.append((f"expected a path that starts with `/`, got {quote(text)}", f"write `/{text}`"))
    if "?" in text or "#" in text or "{" in text:
        problems.append((f"a plain path has no `?`, `#` and `{{`, got {quote(text)}", None))
    normal = "/".join(paths.normal(segment, problems) for segment in text.split("/"))
    for message, hint in problems:
        check.problem(path, "bad_path", message, hint)
    return normal
