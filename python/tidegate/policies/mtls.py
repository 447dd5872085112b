"""Knows callers by the certificate that they showed the listener."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Truth
from tidegate.policies.consumer_headers import ConsumerCredential


class Mtls(ConsumerCredential):
    """Knows callers by their client certificate, which the listener has verified (its `tls.client_certificates`)."""

    any: Truth = Field(
        False,
        description="Any certificate of the listener's `client_ca` is proof, also one that no consumer has. Without "
        "it, only certificates of consumers are.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {"any": self.any, "consumer_to_headers": self.plan_headers(check, path), "optional": self.optional}
