"""The option that every credential of a consumer has: which headers tell the service who it is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Truth
from tidegate.policies.policy import Policy

ConsumerField = Literal["name", "tier", "tags"]


def _default_headers() -> dict[ConsumerField, str]:
    return {"name": "x-consumer-name", "tier": "x-consumer-tier"}


class ConsumerCredential(Policy):
    """What the credentials of consumers share."""

    consumer_to_headers: dict[ConsumerField, str] = Field(
        default_factory=_default_headers,
        description="Headers that tell the service of the consumer: its `name`, `tier` and `tags` (joined by comma). "
        "Clients can never set them. `{}` tells nothing.",
    )

    optional: Truth = Field(
        False,
        description="Lets requests on that show no such credential, as nobody's. One that shows a wrong one is refused "
        "all the same.",
    )

    def plan_headers(self, check: Check, path: Path) -> list[dict[str, Any]]:
        """The headers as the engine takes them."""
        place = (*path, "consumer_to_headers")
        return [
            {"field": field, "header": check.owned_header(header, (*place, field))}
            for field, header in self.consumer_to_headers.items()
        ]


def check_realm(realm: str, check: Check, path: Path) -> str:
    """A realm, which stands between quotation marks in `WWW-Authenticate`."""
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        hint = "letters, digits and blanks, without quotation marks and backslashes"
        check.problem((*path, "realm"), "bad_value", "a realm is visible ASCII text", hint)
    return realm
