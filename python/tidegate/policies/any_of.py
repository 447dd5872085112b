"""Takes one of several kinds of credentials."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tidegate.policies.all_of import AllOf
from tidegate.policies.credentials import CREDENTIALS, Credentials
from tidegate.policies.policy import SWITCHED


class AnyOf(Credentials):
    """Takes one of several kinds of credentials: a key or a token, say. The first that is good counts."""

    all_of: Annotated[AllOf | None, *SWITCHED] = Field(None, description="Several kinds at once, instead of one.")

    def order(self) -> tuple[str, ...]:
        """All kinds that can be asked for, in order."""
        return (*CREDENTIALS, "all_of")


AllOf.model_rebuild(_types_namespace={"AnyOf": AnyOf})
