"""Signed tokens of an issuer that is not real."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from tidegate import UsageError
from tidegate.testing import start
from tidegate.testing.tokens import key_set, sign

ISSUER = {"issuer": "https://auth.example", "algorithms": ["ES256"], "audience": "shop"}


def document(policies: dict[str, Any]) -> dict[str, Any]:
    return {
        "services": [{"name": "s", "url": "http://s"}],
        "routes": [{"name": "a", "service": "s", "policies": policies}],
    }


def test_other_libraries_take_a_token() -> None:
    [key] = jwt.PyJWKSet(json.loads(key_set())["keys"]).keys
    token = sign({"alg": "RS256"}, {"sub": "ann", "left": None})
    assert jwt.decode(token, key, ["RS256"]) == {"sub": "ann"}


def test_a_gateway_takes_a_token_and_judges_the_rest() -> None:
    with start(document({"jwt": {**ISSUER, "claims_to_headers": {"sub": "x-u"}}})) as gateway:
        gateway.services.s.otherwise.returns(200)
        gateway.get("/", claims={"sub": "ann"}).expect(200)
        gateway.services.s.assert_asked("GET", "/", headers={"x-u": "ann", "authorization": None})
        gateway.get("/").expect(401, code="missing_token")
        gateway.get("/", claims={"sub": "ann", "aud": "other"}).expect(401, code="invalid_token")
        gateway.get("/", claims={"sub": "ann", "iss": "https://other"}).expect(401, code="invalid_token")
        gateway.get("/", claims={"sub": "ann", "exp": None}).expect(401)
        token = gateway.token({"sub": "ann"}, lifetime=60)
        gateway.advance(3600)
        gateway.get("/", headers={"authorization": f"Bearer {token}"}).expect(401, code="token_expired")
        gateway.get("/", claims={"sub": "ann"}).expect(200)


def test_one_of_several_issuers_is_named() -> None:
    issuers = [ISSUER, {"issuer": "https://b", "algorithms": ["RS256"], "jwks": "https://b/keys"}]
    with start(document({"any_of": {"jwt": {"issuers": issuers}, "api_key": {}}})) as gateway:
        gateway.services.s.otherwise.returns(200)
        gateway.get("/", claims={"iss": "https://b"}).expect(200)


def test_without_such_a_policy_there_is_no_token() -> None:
    with start(document({})) as gateway, pytest.raises(UsageError, match="no policy that takes signed tokens"):
        gateway.token()
