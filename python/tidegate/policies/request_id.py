"""Gives every request an id, and keeps one that a trusted proxy gave."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Truth
from tidegate.policies.policy import Policy


class RequestId(Policy):
    """Gives every request an id, and keeps one that a trusted proxy gave."""

    header: str = Field("x-request-id", description="Header that carries the id to the service.")
    answer: Truth = Field(True, description="Set the header on the answer too, so that clients can quote it.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {"header": check.header(self.header, (*path, "header")), "answer": self.answer}
