"""`any_of`: one of several kinds of credentials."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.policies.trees import ACTIVE, ALLOW, DENY, INACTIVE, TOKEN, begin_scene, seen


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Any:
    return partial(begin_scene, "any_of", gateway, upstream)


def test_the_first_that_is_good_counts(scene: Any) -> None:
    it = scene(provider=ACTIVE, sessions=ALLOW)
    fields = seen(it.get(**TOKEN))
    assert fields["x-user-id"] == "ann"
    assert "x-device-id" not in fields
    assert it.sessions.requests == []


def test_one_that_is_missing_or_no_good_does_not_hide_one_that_is_good(scene: Any) -> None:
    it = scene(provider=INACTIVE, sessions=ALLOW)
    assert seen(it.get())["x-device-id"] == "d1"
    fields = seen(it.get(**TOKEN))
    assert fields["x-device-id"] == "d1"
    assert "x-user-id" not in fields


def test_when_none_is_good_the_client_is_told_of_the_first(scene: Any) -> None:
    it = scene(provider=INACTIVE, sessions=DENY)
    refused = it.get(**TOKEN)
    assert (refused.status, refused.code) == (401, "invalid_token")


def test_the_credential_that_was_not_looked_at_goes_no_further_either(scene: Any) -> None:
    it = scene(provider=INACTIVE, sessions=ALLOW)
    assert "authorization" not in seen(it.get(**TOKEN))


def test_what_a_kind_sets_cannot_come_from_the_client_whichever_is_good(scene: Any) -> None:
    it = scene(provider=INACTIVE, sessions=ALLOW)
    fields = seen(it.get(**{"X-User-Id": "root", "x_user_id": "root", "x.user.id": "root"}))
    assert [name for name in fields if "user" in name and "agent" not in name] == []


def test_a_tree_may_hold_all_of(scene: Any, gateway: StartGateway, upstream: StartUpstream) -> None:
    provider, sessions, service = upstream().answer(ACTIVE), upstream().answer(DENY), upstream().script(echo_all)
    document = {
        "services": [
            {"name": "service", "url": service.url},
            {"name": "provider", "url": provider.url},
            {"name": "sessions", "url": sessions.url},
        ],
        "routes": [
            {
                "name": "all",
                "service": "service",
                "policies": {
                    "any_of": {
                        "introspection": {"service": "provider"},
                        "all_of": {"forward_auth": {"service": "sessions"}},
                    }
                },
            }
        ],
    }
    running = gateway(document)
    assert running.get("/", headers=TOKEN).status == 200
    assert running.get("/").status == 401


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no kind of credential is given"),
        ({"introspection": {"url": "http://127.0.0.1:1", "optional": True}}, "`optional` has no effect in `any_of`"),
        ({"rate_limit": {}}, "unknown key `rate_limit`"),
    ],
)
def test_a_tree_that_makes_no_sense_does_not_load(options: Any, message: str, gateway: StartGateway) -> None:
    with pytest.raises(ConfigError, match=message):
        gateway({"routes": [{"name": "r", "respond": {}, "policies": {"any_of": options}}]})


def test_a_consumer_cannot_have_it(gateway: StartGateway) -> None:
    policies = {"any_of": {"introspection": {"url": "http://127.0.0.1:1"}}}
    with pytest.raises(ConfigError, match="acts before it is known which consumer calls"):
        gateway({"consumers": [{"name": "c", "policies": policies}]})
