"""`all_of`: several kinds of credentials at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.policies.trees import ACTIVE, ALLOW, DENY, INACTIVE, TOKEN, begin_scene, seen


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Any:
    return partial(begin_scene, "all_of", gateway, upstream)


def test_all_are_asked_for_and_the_service_learns_what_all_prove(scene: Any) -> None:
    it = scene(provider=ACTIVE, sessions=ALLOW)
    fields = seen(it.get(**TOKEN))
    assert (fields["x-user-id"], fields["x-device-id"]) == ("ann", "d1")
    assert "authorization" not in fields


def test_one_that_is_no_good_is_enough_to_refuse(scene: Any) -> None:
    for provider, sessions, status in ((ACTIVE, DENY, 401), (INACTIVE, ALLOW, 401)):
        it = scene(provider=provider, sessions=sessions)
        assert it.get(**TOKEN).status == status


def test_the_first_that_fails_ends_it(scene: Any) -> None:
    it = scene(provider=INACTIVE, sessions=ALLOW)
    refused = it.get(**TOKEN)
    assert refused.code == "invalid_token"
    assert it.sessions.requests == []


def test_with_optional_who_shows_nothing_goes_on_as_nobody(scene: Any) -> None:
    it = scene(provider=ACTIVE, sessions=ALLOW, optional=True)
    fields = seen(it.get())
    assert "x-user-id" not in fields
    assert "x-device-id" not in fields
    it.provider.answer(INACTIVE)
    assert it.get(Authorization="Bearer other").status == 401


def test_it_makes_no_sense_without_kinds(gateway: StartGateway) -> None:
    with pytest.raises(ConfigError, match="no kind of credential is given"):
        gateway({"routes": [{"name": "r", "respond": {}, "policies": {"all_of": {}}}]})
