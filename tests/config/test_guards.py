"""What a document says of credentials that can hardly be meant is warned of, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tidegate import load
from tidegate.config.warnings import warnings

HASH = "$argon2id$v=19$m=19456,t=2,p=1$QhfcnNGJytBHmWJgPZuYkw$NfSfNNB2AbXLWLo/9VnXV0eSYmDFj9Yv/PNUIaTePYM"
HERE = {
    "services": [{"name": "near", "url": "http://auth:8080"}, {"name": "far", "url": "http://idp.example.com"}],
    "consumers": [{"name": "acme", "basic": {"username": "ann", "password_hash": HASH}}],
}
KEYS = {"algorithms": ["RS256"], "issuer": "https://a.example.com"}
BASIC: dict[str, Any] = {"basic": {}}


def told(folder: Path, document: dict[str, Any]) -> list[str]:
    file = folder / "gateway.json"
    file.write_text(json.dumps({**HERE, **document}))
    return [f"{problem.path}: {problem.message} [{problem.code}]" for problem in warnings(load(file))]


def route(policies: dict[str, Any], name: str = "all", path: str = "/") -> dict[str, Any]:
    return {"name": name, "paths": [path], "respond": {}, "policies": policies}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ({"jwt": {**KEYS, "jwks": "http://idp.example.com/keys"}}, "the keys that tokens are checked with come over"),
        ({"jwt": {**KEYS, "discovery": "http://8.8.8.8/x"}}, "on the way to `8.8.8.8`"),
        ({"jwt": {**KEYS, "jwks": "https://idp.example.com/keys"}}, None),
        ({"jwt": {**KEYS, "jwks": "http://127.0.0.1:1/keys"}}, None),
        ({"jwt": {**KEYS, "jwks": "http://[::1]/keys"}}, None),
        ({"jwt": {**KEYS, "jwks": "http://10.1.2.3/keys"}}, None),
        ({"jwt": {**KEYS, "jwks": "http://keycloak:8080/keys"}}, None),
        ({"jwt": {**KEYS, "jwks": "http://keycloak.auth.svc.cluster.local/keys"}}, None),
        ({"introspection": {"service": "far"}}, "credentials go, and what is said of them comes, over plain http"),
        ({"introspection": {"service": "near"}}, None),
        ({"introspection": {"url": "http://idp.example.com/x"}}, "on the way to `idp.example.com`"),
        ({"introspection": {"url": "https://idp.example.com/x"}}, None),
        ({"forward_auth": {"service": "far"}}, "[config.plain_http]"),
        ({"any_of": {"basic": {}, "forward_auth": {"service": "far"}}}, "[config.plain_http]"),
        ({"authorize": {"roles": "admin"}}, "`authorize` asks who calls, and no policy here finds that out"),
        ({"authorize": {"when": "claims.sub == 'ann'"}}, "[config.no_credentials]"),
        ({"authorize": {"when": "request.headers['claims'] == 'x'"}}, "[config.no_credentials]"),
        ({"authorize": {"when": "request.path == '/'"}}, None),
        ({"authorize": {"methods": "GET"}}, None),
        ({"authorize": {"rules": [{"deny": True, "tiers": "free"}, {"methods": "GET"}]}}, None),
        ({"authorize": {"consumers": "acme"}, "basic": {}}, None),
        ({"authorize": {"consumers": "acme"}, "any_of": BASIC}, None),
        ({"mtls": {}}, "nobody can pass: no listener asks for client certificates"),
        ({"mtls": {"optional": True}}, "no listener asks clients for one [config.no_client_certificates]"),
        ({"any_of": {"mtls": {}, "basic": {}}}, "any_of.mtls: `mtls` wants certificates"),
        ({"rate_limit": {"count": "refused_credentials", "limit": "3/1m"}}, "`refused_credentials` counts nothing"),
        ({"rate_limit": {"count": "refused_credentials", "limit": "3/1m"}, "basic": {}}, None),
        ({"rate_limit": {"stage": "before_authentication", "limit": "3/1m"}}, None),
    ],
)
def test_a_policy_that_cannot_do_what_it_is_for_is_warned_of(
    tmp_path: Path, policies: dict[str, Any], expected: str | None
) -> None:
    found = told(tmp_path, {"routes": [route(policies)]})
    if expected is None:
        assert found == []
    else:
        (warning,) = found
        assert expected in warning
        assert warning.startswith(f"routes[0].policies.{next(iter(policies))}")


def test_what_the_gateway_says_for_all_routes_is_told_once(tmp_path: Path) -> None:
    routes = [route({}, "a", "/a"), route({}, "b", "/b"), route({"introspection": "off"}, "c", "/c")]
    (warning,) = told(tmp_path, {"routes": routes, "policies": {"introspection": {"service": "far"}}})
    assert warning.startswith("policies.introspection: ")


def test_a_route_that_switches_off_what_others_need_is_told_by_its_name(tmp_path: Path) -> None:
    routes = [route({}, "a", "/a"), route({"basic": "off"}, "b", "/b")]
    (warning,) = told(tmp_path, {"routes": routes, "policies": {"basic": {}, "authorize": {"consumers": "acme"}}})
    assert warning.startswith("routes[1].policies.authorize: ")


def test_a_limit_of_guesses_for_all_is_fine_where_some_routes_are_open(tmp_path: Path) -> None:
    routes = [route({"basic": {}}, "a", "/a"), route({}, "open", "/open")]
    policies = {"rate_limit": {"count": "refused_credentials", "limit": "3/1m"}}
    assert told(tmp_path, {"routes": routes, "policies": policies}) == []
