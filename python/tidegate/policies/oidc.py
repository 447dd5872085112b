"""Logs users in at an OpenID provider and keeps their sessions in cookies, for browsers."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from tidegate.config import addresses
from tidegate.config.check import Check
from tidegate.config.origins import origin
from tidegate.config.problem import Path, did_you_mean, quote
from tidegate.config.values import Duration, Text, Texts, Truth
from tidegate.identity.discovery import document_url
from tidegate.policies.asked import imply
from tidegate.policies.policy import Policy

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_NEEDED = {
    "issuer": "write the URL of the provider: `issuer: https://login.example.com`",
    "client_id": "write the name that the gateway has at the provider",
    "secret": 'write `secret: "${env:SESSION_SECRET}"`; `openssl rand -hex 32` makes one',
}
_SHORTEST_SECRET = 32
_MOST_SECRETS = 8
_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""RFC 6749 section 3.3."""
_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(?:[/?][!\"$-\[\]-~]*)?")
_COOKIE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OWN_PARAMETERS = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)


class Oidc(Policy):
    """Logs users in at an OpenID provider and keeps their sessions in cookies, for browsers."""

    issuer: Text | None = Field(
        None, description="Required. URL of the provider, character by character as it calls itself."
    )
    client_id: Text | None = Field(None, description="Required. Name of the gateway at the provider.")
    client_secret: Text | None = Field(None, description="Its secret there, by reference: `${env:NAME}`.")
    client_auth: Literal["basic", "post"] = Field(
        "basic", description="How the provider wants the secret: in `Authorization`, or in the form."
    )
    client_key: Text | None = Field(
        None,
        description="A private key in PEM instead of a secret (`private_key_jwt`): EC on P-256 or Ed25519, as in "
        "`${file:client.pem}`.",
    )
    secret: Texts = Field(
        default_factory=list,
        description="Required. What cookies are encrypted with, 32 characters or more, the same on every gateway: "
        "`${env:SESSION_SECRET}`. Of a list, the first encrypts and every one decrypts, so that it can be changed.",
    )
    scopes: Texts = Field(
        default_factory=lambda: ["openid"],
        description="What is asked for; `openid` always is. Many providers give refresh tokens for `offline_access`.",
    )
    algorithms: Texts = Field(
        default_factory=lambda: ["RS256"],
        description="Algorithms of the id_token that are taken: " + ", ".join(f"`{name}`" for name in ALGORITHMS) + ".",
    )
    authorization_endpoint: Text | None = Field(
        None, description="Where users log in; by default, what discovery says."
    )
    token_endpoint: Text | None = Field(
        None,
        description="Where tokens are; by default, what discovery says, if that is at the host of the `issuer`. One "
        "that is elsewhere is written here.",
    )
    end_session_endpoint: Text | None = Field(
        None, description="Where users log out of the provider; by default, what discovery says. `off`: nowhere."
    )
    userinfo: Truth = Field(
        False,
        description="Also ask the provider's userinfo endpoint, at the login and with each renewal, and take the "
        "claims that the id_token does not have.",
    )
    userinfo_endpoint: Text | None = Field(
        None,
        description="Where `userinfo` asks; by default, what discovery says, if that is at the host of the `issuer`. "
        "One that is elsewhere is written here.",
    )
    jwks: Text | None = Field(
        None, description="URL of the provider's keys, for one without discovery; then the endpoints are written too."
    )
    service: Text | None = Field(
        None, description="Service of the document that the token endpoint is called by, for settings of its own."
    )
    ca: Text | None = Field(
        None, description="PEM text of the authorities to trust for discovery and keys, instead of the system's."
    )
    parameters: dict[str, str] = Field(
        default_factory=dict, description="Added to the authorization request: `{prompt: select_account}`."
    )
    callback_path: Text | None = Field(
        None,
        description="Where the provider sends users back to; registered there with scheme and host. By default "
        "`/oauth2/callback`, behind the first path of the route that has the policy.",
    )
    login_path: Text | None = Field(
        None, description="Begins a login: a link to `/oauth2/login?return_to=/path`. By default as `callback_path`."
    )
    logout_path: Text | None = Field(
        None, description="Ends the session, by POST or by a link on an own page. By default as `callback_path`."
    )
    after_logout: Text = Field("/", description="Path that users come to after they logged out.")
    public_url: Text | None = Field(
        None, description="Scheme and host as browsers know them: `https://app.example.com`. By default as they say."
    )
    cookie: Text = Field(
        "tidegate", description="Name of the cookies, behind `__Host-`. Policies that share it share sessions."
    )
    insecure_cookies: Truth = Field(
        False,
        description="Cookies without `Secure` and `__Host-`, only on plain HTTP over loopback: for browsers that keep "
        "no secure cookies of `http://localhost`.",
    )
    lifetime: Duration = Field(43_200_000, description="Longest time from a login to the next.")
    idle: Duration = Field(3_600_000, description="Longest time between two requests of a session.")
    refresh_before: Duration = Field(
        30_000, description="How long before its end an access token is renewed, where there is a refresh token."
    )
    claims_to_headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers for the service, by claim of the id_token: `{sub: x-user-id}`. Dots go into objects, "
        "arrays are joined by comma. The gateway owns these headers: clients cannot set them, on any route.",
    )
    subject_claim: Text = Field("sub", description="Claim that is `{identity.subject}`.")
    consumer_claim: Text | None = Field(
        None,
        description="Claim that names a consumer of the document. A name that is not there is no consumer; one that is "
        "switched off refuses the request.",
    )
    forward: Literal["access_token"] | None = Field(
        None, description="`access_token`: the service gets it as `Authorization: Bearer`."
    )
    optional: Truth = Field(
        False, description="Lets requests without a session on, as nobody; users log in by `login_path`."
    )
    trusted_origins: Texts = Field(
        default_factory=list,
        description="Other origins whose pages may send requests that change something, such as "
        "`https://shop.example.com`.",
    )
    leeway: Duration = Field(5000, description="How far the clocks of the gateway and the provider may be apart.")
    timeout: Duration = Field(5000, description="Longest time for an answer of the provider.")
    on_start: Literal["wait", "lazy"] = Field(
        "wait",
        description="`wait`: `/readyz` says no until the provider has been found. `lazy`: it is looked for with the "
        "first login.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        for name, hint in _NEEDED.items():
            if not getattr(self, name):
                check.problem(path, "missing", f"`{name}` is missing", hint)
        self._check_texts(check, path)
        issuer = self._url("issuer", check, path) or "https://issuer.invalid"
        end_session = None if self.end_session_endpoint == "off" else self._url("end_session_endpoint", check, path)
        callback, login, logout = self._paths(check, path)
        return {
            "issuer": issuer,
            "client_id": self.client_id or "",
            "client": self._client(check, path),
            "secrets": self.secret,
            "scopes": self.scopes if "openid" in self.scopes else ["openid", *self.scopes],
            "algorithms": self._algorithms(check, path),
            "keys": self._keys(issuer, check, path),
            "authorization_endpoint": self._url("authorization_endpoint", check, path),
            "token_endpoint": self._endpoint("token_endpoint", issuer, check, path),
            "userinfo_endpoint": self._endpoint("userinfo_endpoint", issuer, check, path) if self.userinfo else None,
            "end_session_endpoint": "" if self.end_session_endpoint == "off" else end_session,
            "parameters": [[name, value] for name, value in self.parameters.items()],
            "callback_path": callback,
            "login_path": login,
            "logout_path": logout,
            "after_logout": self.after_logout,
            "public_url": None if self.public_url is None else origin(self.public_url, check, (*path, "public_url")),
            "cookie": self.cookie,
            "insecure_cookies": self.insecure_cookies,
            "lifetime_ms": self.lifetime,
            "idle_ms": self.idle,
            "refresh_before_ms": self.refresh_before,
            "leeway_ms": self.leeway,
            "timeout_ms": self.timeout,
            "claims_to_headers": self._claims_to_headers(check, path),
            "subject_claim": self.subject_claim.split("."),
            "consumer_claim": None if self.consumer_claim is None else self.consumer_claim.split("."),
            "forward_access_token": self.forward == "access_token",
            "optional": self.optional,
            "trusted_origins": [
                origin(text, check, (*path, "trusted_origins", index))
                for index, text in enumerate(self.trusted_origins)
            ],
        }

    def _check_texts(self, check: Check, path: Path) -> None:
        if any(len(secret) < _SHORTEST_SECRET for secret in self.secret):
            message = f"a secret has {_SHORTEST_SECRET} characters or more"
            check.problem((*path, "secret"), "bad_value", message, "make one with `openssl rand -hex 32`")
        if len(self.secret) > _MOST_SECRETS:
            check.problem((*path, "secret"), "bad_value", f"there are at most {_MOST_SECRETS} secrets")
        for index, scope in enumerate(self.scopes):
            if not _SCOPE.fullmatch(scope):
                check.problem((*path, "scopes", index), "bad_value", f"{quote(scope)} is no scope")
        if not _COOKIE.fullmatch(self.cookie):
            message = f"{quote(self.cookie)} is no name for these cookies: letters, digits, `_` and `-`, 64 at most"
            check.problem((*path, "cookie"), "bad_value", message)
        if not re.fullmatch(r"/(?![/\\])[!-\[\]-~]*|/", self.after_logout):
            message = f"expected a path of this gateway, got {quote(self.after_logout)}"
            check.problem((*path, "after_logout"), "bad_path", message)
        for name in self.parameters.keys() & _OWN_PARAMETERS:
            check.problem((*path, "parameters", name), "bad_value", f"`{name}` is the gateway's own")
        if self.ca is not None and "-----BEGIN CERTIFICATE-----" not in self.ca:
            check.problem((*path, "ca"), "bad_pem", "expected the text of a PEM file", "write `${file:ca.pem}`")

    def _algorithms(self, check: Check, path: Path) -> list[str]:
        for index, name in enumerate(self.algorithms):
            if name not in ALGORITHMS:
                message = f"{quote(name)} is not an algorithm for an id_token"
                check.problem((*path, "algorithms", index), "bad_value", message, did_you_mean(name, ALGORITHMS))
        return list(self.algorithms)

    def _client(self, check: Check, path: Path) -> str | dict[str, str]:
        if self.client_key is not None:
            if self.client_secret is not None:
                check.problem(path, "bad_value", "`client_secret` and `client_key` exclude each other")
            return {"key": self.client_key}
        # Without a secret the gateway is a public client, and PKCE is what protects the code.
        return "none" if self.client_secret is None else {self.client_auth: self.client_secret}

    def _url(self, name: str, check: Check, path: Path) -> str | None:
        text: str | None = getattr(self, name)
        if text is not None and not _URL.fullmatch(text):
            message = f"expected a URL such as `https://login.example.com/path`, got {quote(text)}"
            check.problem((*path, name), "bad_url", message)
            return None
        return None if text is None else str(text)

    def _keys(self, issuer: str, check: Check, path: Path) -> dict[str, Any]:
        if self.jwks is not None:
            more = ("userinfo_endpoint",) if self.userinfo else ()
            for name in ("authorization_endpoint", "token_endpoint", *more):
                if getattr(self, name) is None:
                    message = f"`{name}` is missing; with `jwks` nothing is discovered"
                    check.problem(path, "missing", message, f"write `{name}`, or leave `jwks` out")
        return {
            "url": self._url("jwks", check, path) or document_url(issuer),
            "discovery": self.jwks is None,
            "issuer": issuer if self.jwks is None else None,
            "ca": self.ca,
            "refresh_ms": 600_000,
            "cool_down_ms": 30_000,
            "max_stale_ms": 86_400_000,
            "timeout_ms": self.timeout,
            "lazy": self.on_start == "lazy",
        }

    def _endpoint(self, name: str, issuer: str, check: Check, path: Path) -> dict[str, Any]:
        """By which service an endpoint is called, and what is known of where it is."""
        written = self._url(name, check, path)
        parts = urlsplit(written or issuer)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "") if written else None
        if self.service is not None and (name == "token_endpoint" or not written):
            return {"service": self.service, "path": target, "origin": None}
        at = (*path, name if written else "issuer")
        url = addresses.url(f"{parts.scheme}://{parts.netloc}", check, at)
        if url is None:
            return {"service": "", "path": target, "origin": None}
        service = imply(f"{parts.scheme}://{url.host}:{url.port}", check)
        return {"service": service, "path": target, "origin": f"{parts.scheme}://{parts.netloc}"}

    def _paths(self, check: Check, path: Path) -> list[str]:
        """The paths that the policy answers itself; where it stands at a route, they must be the route's."""
        plain = [text for text in check.paths if text.startswith("/") and "{" not in text]
        base = plain[0].rstrip("/") if plain else ""
        names = {"callback_path": "callback", "login_path": "login", "logout_path": "logout"}
        found = []
        for name, last in names.items():
            own = addresses.base_path(getattr(self, name) or f"{base}/oauth2/{last}", check, (*path, name)) or "/"
            found.append(own)
            if len(plain) == len(check.paths) and plain and not any(_is_below(own, text) for text in plain):
                message = f"`{own}` is not below a path of this route, so nothing would get there"
                check.problem((*path, name), "bad_path", message, f"write `{name}: {base}/oauth2/{last}`")
        if len(set(found)) < len(found):
            check.problem(path, "bad_value", "`callback_path`, `login_path` and `logout_path` are three paths")
        return found

    def _claims_to_headers(self, check: Check, path: Path) -> list[dict[str, Any]]:
        return [
            {"claim": claim.split("."), "header": check.owned_header(name, (*path, "claims_to_headers", claim))}
            for claim, name in self.claims_to_headers.items()
        ]


def _is_below(own: str, path: str) -> bool:
    path = path.rstrip("/")
    return own == path or own.startswith(f"{path}/")
