"""Whoever turns out to be a consumer that is switched off is refused, however it is found out."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from tidegate._native import hash_password

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import RunningGateway

SECRET = "a secret of 64 bytes, which is what HS512 takes as its least one!"
CONSUMERS = [{"name": "on", "keys": []}, {"name": "off", "enabled": False}]
USERS = {"name": "off", "enabled": False, "basic": {"username": "ann", "password_hash": hash_password("secret")}}
CLAIM = {"claims": {"who": "x-who"}, "consumer_claim": "who"}


def token(who: str) -> dict[str, str]:
    text = jwt.encode({"sub": "ann", "who": who, "exp": int(time.time()) + 60}, SECRET, "HS256")
    return {"authorization": f"Bearer {text}"}


@pytest.fixture
def begin(gateway: StartGateway, upstream: StartUpstream) -> Any:
    def start(policies: dict[str, Any], who: str = "off", consumers: Any = CONSUMERS) -> RunningGateway:
        body = f'{{"active": true, "who": "{who}"}}'
        auth = upstream().answer(f"HTTP/1.1 200 OK\r\nx-who: {who}\r\ncontent-length: {len(body)}\r\n\r\n{body}")
        service = upstream().script(echo_all)
        return gateway(
            {
                "services": [{"name": "service", "url": service.url}, {"name": "auth", "url": auth.url}],
                "consumers": consumers,
                "policies": policies,
                "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
            }
        )

    return start


JWT = {"jwt": {"algorithms": ["HS256"], "secret": SECRET, "consumer_claim": "who"}}


def test_a_claim_that_names_one_is_refused(begin: Any) -> None:
    running = begin(JWT)
    assert running.get("/", headers=token("on")).status == 200
    assert running.get("/", headers=token("nobody")).status == 200
    refused = running.get("/", headers=token("off"))
    assert (refused.status, refused.code) == (401, "invalid_token")
    assert refused.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("optional", [True, False])
def test_optional_credentials_change_nothing(begin: Any, optional: bool) -> None:
    assert begin({"jwt": {**JWT["jwt"], "optional": optional}}).get("/", headers=token("off")).status == 401


@pytest.mark.parametrize(
    "policy",
    [
        {"introspection": {"service": "auth", "consumer_claim": "who"}},
        {"forward_auth": {"service": "auth", **CLAIM}},
        {"any_of": {"api_key": {}, "forward_auth": {"service": "auth", **CLAIM}}},
    ],
    ids=["introspection", "forward_auth", "any_of"],
)
def test_so_it_is_whoever_says_who_calls(begin: Any, policy: dict[str, Any]) -> None:
    for who, status in (("on", 200), ("off", 401)):
        assert begin(policy, who).get("/", headers={"authorization": "Bearer abc"}).status == status


def test_another_credential_that_is_good_still_is(begin: Any) -> None:
    user = {"name": "on", "basic": {"username": "bob", "password_hash": hash_password("secret")}}
    running = begin(
        {"any_of": {"basic": {}, "forward_auth": {"service": "auth", **CLAIM}}}, "off", [user, CONSUMERS[1]]
    )
    good = {"authorization": "Basic " + base64.b64encode(b"bob:secret").decode()}
    assert running.get("/", headers=good).status == 200
    assert running.get("/").status == 401


def test_its_password_is_no_good_and_may_be_another_consumers(begin: Any) -> None:
    ann = {"authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
    assert begin({"basic": {}}, consumers=[USERS]).get("/", headers=ann).status == 401
    taken_over = [USERS, {**USERS, "name": "new", "enabled": True}]
    assert begin({"basic": {}}, consumers=taken_over).get("/", headers=ann).status == 200


def test_the_log_says_why(gateway: StartGateway, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    document = {
        "access_log": {"file": str(log)},
        "consumers": CONSUMERS,
        "policies": JWT,
        "routes": [{"name": "all", "paths": ["/"], "respond": {}}],
    }
    running = gateway(document)
    assert running.get("/", headers=token("off")).status == 401
    running.stop()
    assert "the consumer `off` is switched off" in log.read_text()
