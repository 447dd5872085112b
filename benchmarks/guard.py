"""Who may pass, and how often: the policies of a guarded workload, and how each contestant is told of them."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks import credentials


class Credential(StrEnum):
    """What requests prove who they are with."""

    TOKEN = "token"
    """An RS256 token of one of a thousand users, seen before."""
    NEW_TOKEN = "new_token"
    """One of twenty thousand in turn, more than are remembered: none has been seen lately."""
    API_KEY = "api_key"


@dataclass(frozen=True)
class Guard:
    """The policies in front of the service.

    The service is told who calls: `x-user-id`, `x-user-roles` and `x-user-email` from a token, `x-consumer-name` with a
    key. Limits are for each caller and so wide that nobody is refused.
    """

    credential: Credential = Credential.TOKEN
    users: int = credentials.USERS
    """Who calls with tokens that were seen before."""
    limits: int = 1
    """Token buckets that every request is counted in."""
    shared: bool = False
    """The limits are counted in Redis, for all gateways together."""
    signed: bool = False
    """A signed token tells the service who calls."""

    @property
    def headers(self) -> list[str]:
        """The credentials, as header lines that requests carry in turn."""
        if self.credential is Credential.API_KEY:
            return [f"{credentials.API_KEY_HEADER}: {key}" for key in credentials.api_keys().values()]
        if self.credential is Credential.NEW_TOKEN:
            return [f"authorization: Bearer {token}" for token in credentials.tokens(credentials.MANY_USERS)]
        return [f"authorization: Bearer {token}" for token in credentials.tokens(credentials.USERS)[: self.users]]

    @property
    def expected(self) -> dict[str, str]:
        """What the service must see of the first of them, as regular expressions."""
        seen = {"authorization": "", credentials.API_KEY_HEADER: ""}
        if self.signed:
            seen["x-jwt-assertion"] = r"[\w-]+\.[\w-]+\.[\w-]+"
        if self.credential is Credential.API_KEY:
            return seen | {"x-consumer-name": "consumer-0"}
        return seen | {
            "x-user-id": "user-0",
            # Envoy gives arrays as Base64 of their JSON.
            "x-user-roles": "buyer,reviewer|WyJidXllciIsInJldmlld2VyIl0=",
            "x-user-email": r"user-0@example\.com",
        }


RATE = 100_000
"""Requests a second that each caller may send."""
