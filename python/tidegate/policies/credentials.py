"""The kinds of credentials that `any_of` and `all_of` put together."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Truth
from tidegate.policies.api_key import ApiKey
from tidegate.policies.basic import Basic
from tidegate.policies.forward_auth import ForwardAuth
from tidegate.policies.introspection import Introspection
from tidegate.policies.jwt import Jwt
from tidegate.policies.mtls import Mtls
from tidegate.policies.oidc import Oidc
from tidegate.policies.policy import SWITCHED, Policy

CREDENTIALS = ("mtls", "api_key", "basic", "jwt", "introspection", "forward_auth", "oidc")
"""Policies that find out who calls, in the order in which they are asked: what costs least comes first."""


class Credentials(Policy):
    """Kinds of credentials, each with its own options."""

    mtls: Annotated[Mtls | None, *SWITCHED] = Field(None, description="A client certificate.")
    api_key: Annotated[ApiKey | None, *SWITCHED] = Field(None, description="A key of a consumer.")
    basic: Annotated[Basic | None, *SWITCHED] = Field(None, description="A name and a password.")
    jwt: Annotated[Jwt | None, *SWITCHED] = Field(None, description="A signed token.")
    introspection: Annotated[Introspection | None, *SWITCHED] = Field(
        None, description="A token that its provider is asked about."
    )
    forward_auth: Annotated[ForwardAuth | None, *SWITCHED] = Field(
        None, description="Whatever a service of yours takes for good."
    )
    oidc: Annotated[Oidc | None, *SWITCHED] = Field(
        None, description="A session of a browser; whoever has none of the others is sent to log in."
    )
    optional: Truth = Field(
        False, description="Let requests without any of the credentials on, as nobody. One that is no good is refused."
    )

    def kinds(self) -> list[tuple[str, Policy]]:
        """The credentials that are asked for, in order, by name."""
        return [(name, policy) for name in self.order() if (policy := getattr(self, name)) is not None]

    def order(self) -> tuple[str, ...]:
        """All kinds that can be asked for, in order."""
        return CREDENTIALS

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        kinds = self.kinds()
        if not kinds:
            known = ", ".join(f"`{name}`" for name in self.order())
            check.problem(path, "missing", "no kind of credential is given", f"write one of {known} with its options")
        for name, policy in kinds:
            if getattr(policy, "optional", False):
                hint = f"write it beside `{name}`: it holds for all of them together"
                check.problem((*path, name, "optional"), "bad_value", f"`optional` has no effect in `{path[-1]}`", hint)
        return {
            "of": [{name: policy.plan(check, (*path, name))} for name, policy in kinds],
            "optional": self.optional,
        }
