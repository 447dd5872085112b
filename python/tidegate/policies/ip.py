"""Lets a client in by its address, or not."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.networks import network_list
from tidegate.config.problem import Path
from tidegate.config.values import FilledTexts
from tidegate.policies.policy import Policy


class Ip(Policy):
    """Lets a client in by its address, or not."""

    allow: FilledTexts | None = Field(
        None,
        description="Addresses and networks (`10.0.0.0/8`, `2001:db8::/32`) that are let in; all others are not. "
        "`${file:office.txt}` brings a list. An empty list lets nobody in.",
    )
    deny: FilledTexts | None = Field(
        None, description="Addresses and networks that are kept out, whatever `allow` says. Lists as for `allow`."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.allow is None and self.deny is None:
            check.problem(path, "missing", "`allow` or `deny` is missing", "write `allow: [10.0.0.0/8]`")
        return {
            "allow": None if self.allow is None else network_list(self.allow, check, (*path, "allow")),
            "deny": None if self.deny is None else network_list(self.deny, check, (*path, "deny")),
        }
