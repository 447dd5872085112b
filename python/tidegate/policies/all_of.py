"""Wants several kinds of credentials at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tidegate.policies.credentials import CREDENTIALS, Credentials
from tidegate.policies.policy import SWITCHED

if TYPE_CHECKING:
    from tidegate.policies.any_of import AnyOf


class AllOf(Credentials):
    """Wants several kinds of credentials at once: a certificate and a token, say."""

    any_of: Annotated[AnyOf | None, *SWITCHED] = Field(None, description="One of several kinds, beside the others.")

    def order(self) -> tuple[str, ...]:
        """All kinds that can be asked for, in order."""
        return (*CREDENTIALS, "any_of")
