"""Whose requests share a budget, and by which plan tier: what `rate_limit`, `concurrency` and `quota` ask for alike."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config import references
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Integer, Text, Texts


class LimitKey(Model):
    """Whose requests share a budget."""

    name: Text = Field(
        "default", description="Name of the limit in `RateLimit` headers, log and metrics; counts go on under it."
    )
    key: Texts = Field(
        default_factory=list,
        description="Requests with the same value share a budget. A text with references; of a list, the first whose "
        "references all have a value. Unless set: the consumer, else the subject of the token, else the client's "
        "address.",
    )
    ipv6_prefix: Integer = Field(
        64, ge=16, le=128, description="Bits of an IPv6 address that tell clients apart; most hold a whole /64."
    )
    tier: Text = Field(
        "{consumer.tier}", description="What chooses one of `tiers`, such as `{claims.plan}` or `{header.x-plan}`."
    )

    def plan_key(self, check: Check, path: Path) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        if not self.name or len(self.name) > 64 or not set(self.name) <= NAME_SIGNS:
            check.problem(
                (*path, "name"), "bad_value", "a limit's name is 1 to 64 letters, digits, `_`, `-`, `.`, `:` or `/`"
            )
        keys = [self.key] if isinstance(self.key, str) else self.key
        for at, text in (*(("key", text) for text in keys), ("tier", self.tier)):
            if references.is_bare(text):
                message = f"{quote(text)} is a text, the same for all requests, and not a reference"
                check.problem((*path, at), "bad_reference", message, f"write `{{{text}}}`, in braces and quotes")
        return {
            "name": self.name,
            "scope": check.scope,
            "key": [check.template(text, (*path, "key")) for text in keys],
            "ipv6_prefix": self.ipv6_prefix,
            "tier": check.template(self.tier, (*path, "tier")),
        }


NAME_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/")
