"""`oidc` with `userinfo`: what the provider tells of a user beside the id_token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tidegate import ConfigError, load

from tests.identity.provider import Provider

HEADERS = {"claims_to_headers": {"sub": "x-sub", "email": "x-email", "groups": "x-groups", "iss": "x-iss"}}


def test_claims_that_the_id_token_does_not_have_are_taken(oidc: Any) -> None:
    it = oidc(userinfo=True, **HEADERS, policies={"authorize": {"groups": "staff"}})
    it.provider.claims = {"email": "signed@example.com"}
    it.provider.userinfo = {"email": "other@example.com", "groups": ["staff", "ops"], "iss": "https://evil.example"}
    assert it.log_in().status == 302
    seen = it.seen()
    assert (seen["x-sub"], seen["x-email"], seen["x-groups"]) == (["ada"], ["signed@example.com"], ["staff,ops"])
    assert seen["x-iss"] == [it.provider.url]
    assert it.provider.asked["/userinfo"] == 1


def test_it_is_asked_only_when_told_to(oidc: Any) -> None:
    it = oidc(**HEADERS)
    it.log_in()
    assert "x-groups" not in it.seen()
    assert it.provider.asked["/userinfo"] == 0


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"sub": "mallory"}, "invalid_credentials"),
        ({"sub": None}, "invalid_credentials"),
        ({"sub": ["ada"]}, "invalid_credentials"),
    ],
)
def test_claims_of_another_user_are_no_login(oidc: Any, told: dict[str, Any], code: str) -> None:
    it = oidc(userinfo=True)
    it.provider.userinfo = told
    assert it.log_in().code == code
    assert it.browser.fetch().status == 401


@pytest.mark.parametrize(
    "answer", [(500, "{}"), (401, "{}"), (200, "ey.a.b"), (200, "[]"), (302, "{}"), (200, '{"sub": "a", "sub": "ada"}')]
)
def test_without_its_answer_there_is_no_login(oidc: Any, answer: tuple[int, str]) -> None:
    it = oidc(userinfo=True)
    it.provider.userinfo_answer = answer
    assert it.log_in().code == "authentication_unavailable"


def test_it_is_asked_again_when_tokens_are_renewed(oidc: Any) -> None:
    it = oidc(userinfo=True, **HEADERS)
    it.provider.userinfo = {"groups": ["staff"]}
    it.log_in()
    assert it.seen()["x-groups"] == ["staff"]
    it.provider.userinfo = {"groups": ["ops"]}
    it.gateway.advance(280)
    assert it.seen()["x-groups"] == ["ops"]
    # What was told before holds on while it does not answer.
    it.provider.userinfo_answer = (503, "")
    it.gateway.advance(280)
    assert it.seen()["x-groups"] == ["ops"]
    assert it.provider.asked["/userinfo"] == 3
    it.provider.userinfo_answer = None
    it.provider.userinfo = {"sub": "mallory", "groups": ["root"]}
    it.gateway.advance(280)
    assert it.browser.fetch().status == 401


def test_an_endpoint_elsewhere_must_be_written(oidc: Any, openid_provider: Provider) -> None:
    openid_provider.discovery = {"userinfo_endpoint": f"http://localhost:{urlsplit(openid_provider.url).port}/userinfo"}
    assert oidc(userinfo=True).log_in().code == "authentication_unavailable"
    assert openid_provider.asked["/userinfo"] == 0
    it = oidc(userinfo=True, userinfo_endpoint=f"{openid_provider.url}/userinfo")
    assert it.log_in().status == 302


def test_without_discovery_it_is_written(tmp_path: Path) -> None:
    oidc = {
        "issuer": "https://a.example.com",
        "client_id": "gate",
        "secret": "0123456789abcdef0123456789abcdef",
        "jwks": "https://a.example.com/jwks",
        "authorization_endpoint": "https://a.example.com/authorize",
        "token_endpoint": "https://a.example.com/token",
        "userinfo": True,
    }
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"routes": [{"name": "a", "respond": {}, "policies": {"oidc": oidc}}]}))
    with pytest.raises(ConfigError, match="`userinfo_endpoint` is missing; with `jwks` nothing is discovered"):
        load(file)
