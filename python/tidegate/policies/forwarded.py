"""Tells the service who the client is and how it came: `X-Forwarded-*`, `Forwarded`, `Via`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Truth
from tidegate.policies.policy import Policy


class Forwarded(Policy):
    """Tells the service who the client is and how it came. On for every route unless it is `off`."""

    x_forwarded: Truth = Field(True, description="`X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.")
    forwarded: Truth = Field(False, description="`Forwarded` (RFC 7239), which says the same in one standard header.")
    via: Truth = Field(True, description="`Via` (RFC 9110 section 7.6.3) on requests and answers.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {"x_forwarded": self.x_forwarded, "forwarded": self.forwarded, "via": self.via}
