"""Takes requests with a signed token, and tells the service who calls."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path, did_you_mean, quote
from tidegate.config.values import Duration, DurationOrZero, Size, Text, Texts, Truth
from tidegate.identity.discovery import document_url
from tidegate.policies.policy import Policy
from tidegate.policies.token_place import token_place

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
MACS = {"HS256": 32, "HS384": 48, "HS512": 64}
"""And the fewest bytes that their secret has (RFC 7518 section 3.2)."""
KEY_OPTIONS = ("jwks", "discovery", "public_key", "secret")

_REALM = re.compile(r"[ !#-\[\]-~]*")
_CLAIM = re.compile(r"\S+")


def _jwks(value: object) -> object:
    """A URL, a key set, the text of one, or nothing."""
    if value is None or isinstance(value, str | dict):
        return value
    raise problem("wrong_type", f"expected a URL or a key set, got {quote(value)}")


def _discovery(value: object) -> object:
    """`true` for the usual place, or a URL."""
    if isinstance(value, str | bool):
        return value
    raise problem("wrong_type", f"expected `true` or a URL, got {quote(value)}")


if TYPE_CHECKING:
    Jwks: TypeAlias = str | dict[str, Any] | None
    Discovery: TypeAlias = bool | str
else:
    Jwks = Annotated[
        Any,
        BeforeValidator(_jwks),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}], "title": "key set or URL"}),
    ]
    Discovery = Annotated[
        Any,
        BeforeValidator(_discovery),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}], "title": "`true`, `false` or URL"}),
    ]


class TokenIssuer(Model):
    """One that signs tokens: what its tokens must say, and where its keys are."""

    issuer: Text | None = Field(
        None,
        description="What `iss` must be, character by character. Without it, any `iss` or none will do; of several "
        "issuers, each must have it.",
    )
    audience: Texts = Field(default_factory=list, description="One of these must be in `aud`. None: any.")
    algorithms: Texts = Field(
        default_factory=list,
        description="Required. Algorithms that are taken: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, "
        "`ES256`, `ES384`, `ES512`, `EdDSA` (also `Ed25519`, its newer name); with `secret` `HS256`, `HS384`, `HS512`.",
    )
    jwks: Jwks = Field(
        None, description="Its keys: the URL of a JWK Set, or the set itself, as a mapping or as JSON text."
    )
    discovery: Discovery = Field(
        False,
        description="Asks the issuer where its keys are (OpenID Connect Discovery): `true` for the usual place below "
        "`issuer`, or the URL of the document. So it is when `issuer` is a URL and no other keys are given.",
    )
    public_key: Texts = Field(
        default_factory=list, description="Its keys as PEM text, or a list of them: `${file:issuer.pem}`."
    )
    secret: Text | None = Field(
        None, description="The secret for `HS` algorithms, as long as their hash: `${env:TOKEN_SECRET}`."
    )
    subject: Texts = Field(default_factory=list, description="One of these must be `sub`. None: any.")
    required_claims: Texts = Field(
        default_factory=list, description="Claims that must be there and not null. `authorize` looks at their values."
    )
    token_types: Texts = Field(
        default_factory=list, description="One of these must be `typ` in the header, such as `at+jwt`. None: any."
    )
    leeway: DurationOrZero = Field(
        0,
        description="How far the issuer's clock may be off, for `exp`, `nbf` and `iat`. Five seconds of it always "
        "hold for `nbf` and `iat`.",
    )
    max_lifetime: Duration | None = Field(
        None, description="Longest time from `iat` to `exp`; both must be there then."
    )
    require_expiry: Truth = Field(True, description="Refuses tokens without `exp`.")
    refresh: Duration = Field(
        600_000,
        description="How often keys are fetched again. `Cache-Control` of the issuer can make it sooner, not later.",
    )
    cool_down: Duration = Field(
        30_000, description="Shortest time between two fetches for keys that are not known, over all workers."
    )
    max_stale: Duration = Field(
        86_400_000, description="How long keys are believed while they cannot be fetched again."
    )
    fetch_timeout: Duration = Field(
        5_000, description="Longest time for a fetch, and for a request that waits for one."
    )
    ca: Text | None = Field(
        None, description="PEM text of the authorities to trust for fetches, instead of the system's: `${file:ca.pem}`."
    )

    def plan_issuer(self, check: Check, path: Path, *, lazy: bool) -> dict[str, Any]:
        """The issuer as the engine takes it."""
        algorithms = self._algorithms(check, path)
        return {
            "issuer": self.issuer,
            "algorithms": algorithms,
            "audiences": self.audience,
            "subjects": self.subject,
            "required_claims": self.required_claims,
            "types": self.token_types,
            "leeway_ms": self.leeway,
            "max_lifetime_ms": self.max_lifetime,
            "requires_expiry": self.require_expiry,
            "keys": self._keys(algorithms, check, path, lazy),
        }

    def _algorithms(self, check: Check, path: Path) -> list[str]:
        at = (*path, "algorithms")
        if not self.algorithms:
            example = "write the one that your issuer uses, such as `algorithms: [RS256]`"
            check.problem(path, "missing", "`algorithms` is missing", example)
        known = MACS if self.secret is not None else SIGNATURES
        for index, name in enumerate(self.algorithms):
            if name in known:
                continue
            hint = _why_not(name) or did_you_mean(name, known)
            check.problem((*at, index), "bad_value", f"{quote(name)} is not an algorithm for these keys", hint)
        return list(self.algorithms)

    def _keys(self, algorithms: list[str], check: Check, path: Path, lazy: bool) -> dict[str, Any] | None:
        given = [name for name in KEY_OPTIONS if getattr(self, name)]
        for other in given[1:]:
            check.problem((*path, other), "bad_value", f"the keys come from one place; `{given[0]}` says where already")
        if self.secret is not None:
            self._check_secret(self.secret, algorithms, check, (*path, "secret"))
            return {"secret": self.secret}
        if self.public_key:
            for index, text in enumerate(self.public_key):
                if "-----BEGIN" not in text:
                    where = (*path, "public_key", index)
                    check.problem(where, "bad_pem", "expected the text of a PEM file", "write `${file:issuer.pem}`")
            return {"public_keys": self.public_key}
        if self.jwks is not None:
            return self._jwks(check, (*path, "jwks"), lazy)
        if self.discovery is not True and self.discovery:
            return self._remote(str(self.discovery), True, check, (*path, "discovery"), lazy)
        return self._discovered(check, path, lazy)

    def _check_secret(self, secret: str, algorithms: list[str], check: Check, path: Path) -> None:
        least = max((MACS.get(name, 0) for name in algorithms), default=0)
        if len(secret.encode()) < least:
            message = f"the secret is too short: {'/'.join(algorithms)} needs at least {least} bytes"
            check.problem(path, "bad_value", message, "make one with `openssl rand -base64 48`")

    def _jwks(self, check: Check, path: Path, lazy: bool) -> dict[str, Any] | None:
        value = self.jwks
        if isinstance(value, dict):
            return {"jwks": json.dumps(value)}
        assert isinstance(value, str)
        if value.lstrip().startswith("{"):
            return {"jwks": str(value)}
        return self._remote(value, False, check, path, lazy)

    def _discovered(self, check: Check, path: Path, lazy: bool) -> dict[str, Any] | None:
        """Where an issuer that is a URL says its keys are."""
        if self.issuer is None or "://" not in self.issuer:
            if self.discovery:
                at, message = (*path, "discovery"), "`issuer` is no URL, so there is nothing to ask"
                check.problem(at, "missing", message, "write the URL of the document, or `jwks`")
            else:
                names = ", ".join(f"`{name}`" for name in KEY_OPTIONS)
                hint = f"write one of {names}"
                if self.issuer is not None:
                    hint += f", or the issuer as the URL that it is: `https://{self.issuer}`"
                check.problem(path, "missing", "there are no keys to check tokens with", hint)
            return None
        return self._remote(document_url(self.issuer), True, check, (*path, "issuer"), lazy)

    def _remote(self, url: str, discovery: bool, check: Check, path: Path, lazy: bool) -> dict[str, Any]:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
            _ = parts.port
        except ValueError:
            good = False
        if not good or not url.isascii() or re.search(r"[\s\x00-\x1f]", url):
            shown = quote(url)
            hint = None if "://" in url else f"write `https://{url.lstrip('/')}`"
            check.problem(path, "bad_url", f"{shown} is not a URL of the form `https://host/path`", hint)
        if self.ca is not None and "-----BEGIN CERTIFICATE-----" not in self.ca:
            at = (*path[:-1], "ca")
            check.problem(at, "bad_pem", "expected the text of a PEM file", "write `${file:ca.pem}`")
        return {
            "remote": {
                "url": url,
                "discovery": discovery,
                "issuer": self.issuer if discovery else None,
                "ca": self.ca,
                "refresh_ms": self.refresh,
                "cool_down_ms": self.cool_down,
                "max_stale_ms": self.max_stale,
                "timeout_ms": self.fetch_timeout,
                "lazy": lazy,
            }
        }


class Jwt(TokenIssuer, Policy):
    """Takes requests with a signed token, and tells the service who calls.

    For one issuer its options are written here; for several, in `issuers`.
    """

    issuers: list[TokenIssuer] = Field(
        default_factory=list, description="Several issuers; a token is judged by the one that its `iss` names."
    )
    token: Texts = Field(
        default_factory=lambda: ["authorization"],
        min_length=1,
        description="Where the token is looked for, in order: `authorization` (`Bearer`), `header:NAME`, "
        "`cookie:NAME`.",
    )
    optional: Truth = Field(False, description="Lets requests without a token on, as nobody. A bad one is refused.")
    claims_to_headers: dict[str, str] = Field(
        default_factory=dict,
        description="Claims and the headers that bring them to the service; `a.b` is `b` inside of `a`. Lists are "
        "joined by comma, objects are JSON. These headers are taken from clients, on every route.",
    )
    subject_claim: Text = Field("sub", description="Claim that is `{identity.subject}`.")
    consumer_claim: Text | None = Field(
        None,
        description="Claim that names a consumer of the document. A name that is not there is no consumer; one that is "
        "switched off refuses the request.",
    )
    forward_token: Truth = Field(False, description="The service gets the token too; else it is taken out.")
    max_token: Size = Field(8192, description="Longest token.")
    realm: Text = Field("api", description="Realm of `WWW-Authenticate` on refusals.")
    on_start: Literal["wait", "lazy"] = Field(
        "wait",
        description="`wait`: `/readyz` says no until the keys are there. `lazy`: they are fetched with the first "
        "token.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        self._check_headers(check, path)
        if not _REALM.fullmatch(self.realm):
            check.problem((*path, "realm"), "bad_value", "a realm has no quotes, backslashes or control characters")
        if isinstance(self.max_token, int) and not 0 < self.max_token <= 1 << 20:
            check.problem((*path, "max_token"), "bad_size", "a token has at least one byte and at most 1 MiB")
        return {
            "issuers": self._issuers(check, path),
            "token": [token_place(text, check, (*path, "token", index)) for index, text in enumerate(self.token)],
            "max_token_bytes": self.max_token,
            "optional": self.optional,
            "forward_token": self.forward_token,
            "claims_to_headers": [
                {"claim": _claim(claim, check, at), "header": check.owned_header(name, at)}
                for claim, name in self.claims_to_headers.items()
                for at in [(*path, "claims_to_headers", claim)]
            ],
            "subject_claim": _claim(self.subject_claim, check, (*path, "subject_claim")),
            "consumer_claim": None
            if self.consumer_claim is None
            else _claim(self.consumer_claim, check, (*path, "consumer_claim")),
            "realm": self.realm,
        }

    def _issuers(self, check: Check, path: Path) -> list[dict[str, Any]]:
        lazy = self.on_start == "lazy"
        if not self.issuers:
            return [self.plan_issuer(check, path, lazy=lazy)]
        for name in TokenIssuer.model_fields:
            if name in self.model_fields_set:
                message = f"with `issuers`, `{name}` is written for each of them"
                check.problem((*path, name), "bad_value", message, f"move `{name}` into the entries of `issuers`")
        for index, issuer in enumerate(self.issuers):
            if issuer.issuer is None and len(self.issuers) > 1:
                # Its keys could sign tokens in the name of the others.
                message = "`issuer` is missing; of several issuers, each signs in its own name only"
                check.problem((*path, "issuers", index), "missing", message, "write what `iss` is in its tokens")
        return [
            issuer.plan_issuer(check, (*path, "issuers", index), lazy=lazy) for index, issuer in enumerate(self.issuers)
        ]

    def _check_headers(self, check: Check, path: Path) -> None:
        taken = {*(text.partition(":")[2].lower() for text in self.token)}
        for claim, name in self.claims_to_headers.items():
            if name.lower() in taken:
                at = (*path, "claims_to_headers", claim)
                check.problem(at, "bad_header", f"{quote(name)} carries credentials and cannot carry a claim as well")


def _why_not(algorithm: str) -> str | None:
    if algorithm.lower() == "none":
        return "a token without a signature proves nothing"
    if algorithm in MACS:
        return f"`{algorithm}` goes with `secret`: a key that is published must not be a secret"
    if algorithm in SIGNATURES:
        return f"`{algorithm}` goes with public keys, not with `secret`"
    return None


def _claim(name: str, check: Check, path: Path) -> list[str]:
    parts = name.split(".")
    if not _CLAIM.fullmatch(name) or "" in parts:
        shown = quote(name.written) if isinstance(name, Interpolated) else quote(name)
        check.problem(path, "bad_value", f"{shown} is not a claim or a path to one such as `realm_access.roles`")
    return parts
