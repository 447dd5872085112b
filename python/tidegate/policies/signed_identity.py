"""Gives services a short-lived token that says who calls, signed by the gateway."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.implied import KeptKeys
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Text, Texts, Truth
from tidegate.policies.policy import Policy

RESERVED = ("iss", "aud", "sub", "exp", "iat", "nbf", "jti", "consumer", "tier", "request_id")
"""Claims that the gateway makes itself."""

_JWKS_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class SignedIdentity(Policy):
    """Gives services a short-lived token that says who calls, signed by the gateway."""

    issuer: Text | None = Field(
        None, description="`iss` of the tokens: the URL of the gateway, as services know it. It must be given."
    )
    audience: Text | None = Field(
        None,
        description="`aud` of the tokens. Without one, the name of the service (of the route, if it calls none or, "
        "with `compose`, several).",
    )
    header: str = Field(
        "x-jwt-assertion",
        description="Header that carries the token. The gateway owns it: whatever clients send under this name is "
        "taken out, on every route.",
    )
    claims: Texts = Field(
        default_factory=list, description="Claims of the credential that go along, under their own names."
    )
    request_id: Truth = Field(
        False,
        description="Put the id of the request into `request_id`. Then no token serves two requests, and each costs "
        "a signature.",
    )
    anonymous: Truth = Field(
        False, description="Also send a token, without `sub`, with requests whose caller is not known."
    )
    ttl: Duration = Field(
        60_000, description="Lifetime of a token: whole seconds. A token never outlives its credential."
    )
    keys: Texts = Field(
        default_factory=list,
        description="Private keys: files (PEM), or the text itself. EC on P-256 signs ES256, Ed25519 signs EdDSA. The "
        "first signs, all are published.",
    )
    rotate: Duration | None = Field(
        None, description="Make keys instead, and sign with another one after this time. Needs `key_file`."
    )
    key_file: Text | None = Field(
        None, description="File that holds the keys that are made; gateways that share it share the keys."
    )
    algorithm: Literal["ES256", "EdDSA"] = Field("ES256", description="Algorithm of the keys that are made.")
    overlap: Duration = Field(
        3_600_000,
        description="Time for which a key is published before it signs, and after it has signed for the last time.",
    )
    jwks_path: str = Field(
        "/.well-known/tidegate/jwks.json",
        description="Path at which every listener publishes the public keys, by a route of its own.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if not self.issuer:
            check.problem(path, "missing", "`issuer` is missing", "write the URL of the gateway")
        for index, name in enumerate(self.claims):
            if name in RESERVED:
                check.problem((*path, "claims", index), "bad_value", f"the gateway makes the claim `{name}` itself")
        if int(self.ttl) % 1000:
            check.problem((*path, "ttl"), "bad_duration", "a lifetime is whole seconds", "write `60s`")
        if not _JWKS_PATH.fullmatch(self.jwks_path) or {".", ".."} & set(self.jwks_path.split("/")):
            message = f"expected a path such as `/.well-known/jwks.json`, got {quote(self.jwks_path)}"
            check.problem((*path, "jwks_path"), "bad_path", message)
        from tidegate.plan import encode  # it knows all policies, so they cannot know it before

        keys = self._keys(check, path)
        check.implied.published.setdefault(self.jwks_path, {})[encode(keys)] = None
        return {
            "header": check.owned_header(self.header, (*path, "header")),
            "issuer": self.issuer or "",
            "audience": self.audience,
            "claims": self.claims,
            "request_id": self.request_id,
            "anonymous": self.anonymous,
            "ttl_s": max(int(self.ttl) // 1000, 1),
            "keys": keys,
        }

    def _keys(self, check: Check, path: Path) -> dict[str, Any]:
        if self.rotate is None:
            if not self.keys:
                hint = "write `keys: [identity.pem]`, or `rotate: 24h` and a `key_file`"
                check.problem(path, "missing", "`keys` is missing", hint)
            given = enumerate(self.keys)
            return {"given": [check.files.pem(key, "PRIVATE KEY", check, (*path, "keys", at)) for at, key in given]}
        if self.keys:
            check.problem((*path, "rotate"), "bad_value", "`rotate` and `keys` exclude each other")
        if self.key_file is None:
            hint = "write `key_file: identity-keys.json`, beside the document"
            check.problem(path, "missing", "`key_file` is missing; it holds the keys that `rotate` makes", hint)
            return {"kept": ""}
        if int(self.rotate) < 2 * int(self.overlap):
            message = "`rotate` is at least twice as long as `overlap`, or keys would sign before they are known"
            check.problem((*path, "rotate"), "bad_duration", message)
        file = str((check.files.folder / self.key_file).absolute())
        check.implied.kept[file] = KeptKeys(file, self.algorithm, int(self.rotate), int(self.overlap))
        return {"kept": file}
