"""A route that sends the client elsewhere."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Integer, Text, Truth

_STATUSES = (301, 302, 303, 307, 308)


class Redirect(Model):
    """An answer that sends the client elsewhere."""

    location: Text = Field(
        description="Where to: a path or a whole URL. May use references: `https://{request.host}{request.path}`.",
    )
    status: Integer = Field(
        302, description="301 and 308 are remembered by clients, 302, 303 and 307 are not; 307 and 308 keep the method."
    )
    keep_query: Truth = Field(True, description="Put the client's query behind the location.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The action as the engine takes it."""
        if self.status not in _STATUSES:
            known = ", ".join(f"`{status}`" for status in _STATUSES)
            check.problem((*path, "status"), "bad_status", f"expected one of {known}, got {quote(self.status)}")
        return {
            "redirect": {
                "status": self.status,
                "location": check.template(self.location, (*path, "location"), target=True),
                "keep_query": self.keep_query,
            }
        }
