"""Asks the provider whether a token is good, and whose it is (RFC 7662)."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from tidegate.config import addresses
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Integer, Text, Texts, Truth
from tidegate.policies.asked import Asked
from tidegate.policies.token_place import token_place

_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""RFC 6749 section 3.3."""
_REALM = re.compile(r"[ !#-\[\]-~]*")
"""What a quoted string holds without escapes."""


class TokenCache(Model):
    """How long a token is believed without asking again."""

    ttl: Duration = Field(60_000, description="Longest time a good token is remembered; never beyond its `exp`.")
    negative_ttl: Duration = Field(5000, description="Time a token that is no good is remembered. Failures never are.")
    entries: Integer = Field(10_000, ge=1, le=10_000_000, description="Tokens remembered at most.")


class Introspection(Asked):
    """Asks the provider whether a token is good, and whose it is (RFC 7662)."""

    path: Text | None = Field(None, description="Path of the endpoint, behind that of the `url`. Without one, `/`.")
    client_id: Text | None = Field(None, description="Name of the gateway at the provider.")
    client_secret: Text | None = Field(None, description="Its secret, by reference: `${env:NAME}` or `${file:path}`.")
    client_auth: Literal["basic", "post"] = Field(
        "basic", description="How the provider wants them: in `Authorization`, or in the form."
    )
    bearer_token: Text | None = Field(
        None, description="A token of the gateway's own, for providers that want one instead; by reference."
    )
    token: Texts = Field(
        default_factory=lambda: ["authorization"],
        min_length=1,
        description="Where the token is looked for, in order: `authorization` (`Bearer`), `header:NAME`, "
        "`cookie:NAME`. It is taken out of the request.",
    )
    token_type_hint: Text | None = Field("access_token", description="Sent along (RFC 7662 section 2.1).")
    issuer: Text | None = Field(None, description="Must be `iss` of the answer.")
    audience: Texts = Field(default_factory=list, description="One of these must be in `aud`. None: any will do.")
    scopes: Texts = Field(
        default_factory=list, description="All of these must be in `scope`; otherwise the request is refused with 403."
    )
    leeway: Duration = Field(5000, description="How far the clocks of the gateway and the provider may be apart.")
    claims_to_headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers for the service, by claim: `{sub: x-user-id}`. Dots go into objects, arrays are joined by "
        "comma. The gateway owns these headers: clients cannot set them, on any route.",
    )
    subject_claim: Text = Field("sub", description="Claim that is `{identity.subject}`.")
    consumer_claim: Text | None = Field(
        None,
        description="Claim that names a consumer of the document. A name that is not there is no consumer; one that is "
        "switched off refuses the request.",
    )
    realm: Text = Field("api", description="Named in `WWW-Authenticate`.")
    optional: Truth = Field(False, description="Let requests without a token on, as nobody.")
    timeout: Duration = Field(2000, description="Longest time for an answer; then the request is refused with 503.")
    cache: TokenCache = Field(default_factory=TokenCache, description="How long a token is believed.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        service, base = self.asked(check, path)
        target = addresses.base_path(self.path or "", check, (*path, "path"))
        for index, scope in enumerate(self.scopes):
            if not _SCOPE.fullmatch(scope):
                check.problem((*path, "scopes", index), "bad_value", f"{quote(scope)} is no scope")
        if not _REALM.fullmatch(self.realm):
            check.problem((*path, "realm"), "bad_value", f"{quote(self.realm)} cannot stand in a header")
        return {
            "service": service,
            "path": base + target or "/",
            "client": self._client(check, path),
            "token": [token_place(place, check, (*path, "token", index)) for index, place in enumerate(self.token)],
            "token_type_hint": self.token_type_hint,
            "issuer": self.issuer,
            "audience": self.audience,
            "scopes": self.scopes,
            "leeway_ms": self.leeway,
            "claims_to_headers": [
                {"claim": claim.split("."), "header": check.owned_header(header, (*path, "claims_to_headers", claim))}
                for claim, header in self.claims_to_headers.items()
            ],
            "subject_claim": self.subject_claim.split("."),
            "consumer_claim": None if self.consumer_claim is None else self.consumer_claim.split("."),
            "realm": self.realm,
            "optional": self.optional,
            "timeout_ms": self.timeout,
            "ttl_ms": self.cache.ttl,
            "negative_ttl_ms": self.cache.negative_ttl,
            "entries": self.cache.entries,
        }

    def _client(self, check: Check, path: Path) -> str | dict[str, Any]:
        pair = (self.client_id, self.client_secret)
        if self.bearer_token is not None:
            if pair != (None, None):
                check.problem(path, "bad_value", "`bearer_token` and `client_id` exclude each other")
            if not self.bearer_token.isascii() or not self.bearer_token.isprintable():
                check.problem((*path, "bearer_token"), "bad_value", "it cannot stand in a header")
            return {"bearer": {"token": self.bearer_token}}
        if pair == (None, None):
            return "none"
        for one, other in (("client_id", "client_secret"), ("client_secret", "client_id")):
            if getattr(self, one) is not None and getattr(self, other) is None:
                hint = "write `client_id: gateway`" if other == "client_id" else f'write `{other}: "${{env:NAME}}"`'
                check.problem(path, "missing", f"`{other}` is missing; it goes with `{one}`", hint)
        return {self.client_auth: {"id": self.client_id or "", "secret": self.client_secret or ""}}
