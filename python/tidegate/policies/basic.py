"""Knows callers by name and password (RFC 7617)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Duration, Text
from tidegate.policies.consumer_headers import ConsumerCredential, check_realm


class Basic(ConsumerCredential):
    """Knows callers by name and password, which are checked against argon2id hashes of the document's consumers."""

    remember: Duration = Field(
        300_000,
        description="How long a password that was right is not checked again, which would cost some 20 ms. A changed "
        "hash acts at once all the same.",
    )
    remember_failures: Duration = Field(
        10_000, description="How long a password that was wrong is refused without checking it again."
    )
    realm: Text = Field("tidegate", description="What browsers show when they ask for the password.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {
            "remember_ms": self.remember,
            "remember_failures_ms": self.remember_failures,
            "realm": check_realm(self.realm, check, path),
            "consumer_to_headers": self.plan_headers(check, path),
            "optional": self.optional,
        }
