"""Quotas: by the calendar, over restarts, and over gateways."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway
from tests.harness import RunningGateway
from tests.harness.poll import eventually
from tests.harness.redis import RedisServer, needs_redis

WHO = {"key": "{header.x-user}"}


def document(quota: dict[str, Any], **more: Any) -> dict[str, Any]:
    ok = {"name": "ok", "paths": ["/"], "respond": {"body": "ok"}}
    failing = {"name": "failing", "paths": ["/failing"], "respond": {"status": 503}}
    return {"routes": [ok, failing], "policies": {"quota": {**WHO, **quota}}, **more}


def ask(one: RunningGateway, user: str = "ann", path: str = "/", **headers: str) -> int:
    return one.get(path, headers={"x-user": user, **headers}).status


def test_what_exceeds_the_quota_gets_429_until_the_period_ends(gateway: StartGateway) -> None:
    one = gateway(document({"limit": "2/day"}))
    assert [ask(one) for _ in range(3)] == [200, 200, 429]
    refused = one.get("/", headers={"x-user": "ann"})
    assert refused.code == "quota_exceeded"
    left = (86_400 - time.time() % 86_400) * 1.1 + 3
    assert 0 < int(refused.headers["retry-after"]) <= left
    assert ask(one, "bob") == 200
    one.advance(86_400)
    assert ask(one) == 200


def test_the_fields_tell_of_the_quota_beside_the_rate_limit(gateway: StartGateway) -> None:
    plan = document({"limit": "10/month", "name": "monthly"})
    plan["policies"]["rate_limit"] = {"limit": "5/1m", "name": "burst"}
    answer = gateway(plan).get("/", headers={"x-user": "ann"})
    policies = [value for name, value in answer.fields if name == "ratelimit-policy"]
    budgets = [value for name, value in answer.fields if name == "ratelimit"]
    assert policies[0] == '"burst";q=5;w=60'
    assert policies[1].startswith('"monthly";q=10;w=')
    assert budgets[1].startswith('"monthly";r=9;t=')


def test_several_quotas_are_checked_before_any_is_charged(gateway: StartGateway) -> None:
    limits = [{"name": "a", "limit": "1/hour"}, {"name": "b", "limit": "3/month"}]
    one = gateway(document({"limits": limits, "usage_path": "/usage"}))
    assert [ask(one) for _ in range(4)] == [200, 429, 429, 429]
    used = {quota["name"]: quota["used"] for quota in usage(one)}
    assert used == {"a": 1, "b": 1}


def test_the_caller_is_told_what_it_has_used_for_nothing(gateway: StartGateway) -> None:
    one = gateway(document({"limit": "3/day", "timezone": "Europe/Berlin", "usage_path": "/usage"}))
    ask(one)
    for _ in range(5):
        [quota] = usage(one)
        assert (quota["limit"], quota["used"], quota["remaining"]) == (3, 1, 2)
    berlin = ZoneInfo("Europe/Berlin")
    today = datetime.now(berlin).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = (today + timedelta(hours=30)).replace(hour=0)
    assert (quota["period"], quota["timezone"]) == ("day", "Europe/Berlin")
    assert datetime.fromisoformat(quota["starts"]) == today
    assert datetime.fromisoformat(quota["resets"]) == tomorrow
    assert usage(one, "bob")[0]["used"] == 0
    assert one.post("/usage", headers={"x-user": "ann"}).status == 200, "only GET and HEAD ask for it"


def test_tiers_costs_and_refunds_are_those_of_rate_limits(gateway: StartGateway) -> None:
    quota = {
        "limit": "4/day",
        "tier": "{header.x-plan}",
        "tiers": {"big": 100, "free_of_limits": "unlimited"},
        "cost": "{header.x-cost}",
        "refund_failures": True,
        "usage_path": "/usage",
    }
    one = gateway(document(quota))
    assert [ask(one, **{"x-cost": "3"}) for _ in range(2)] == [200, 429]
    assert ask(one, path="/failing") == 503
    eventually(lambda: usage(one)[0]["used"] == 3, "the refund")
    assert ask(one, **{"x-cost": "1"}) == 200
    assert ask(one, **{"x-plan": "big", "x-cost": "90"}) == 200
    assert ask(one, **{"x-plan": "free_of_limits", "x-cost": "999999"}) == 200
    assert usage(one)[0]["used"] == 94


def test_a_shadow_quota_refuses_nothing(gateway: StartGateway) -> None:
    one = gateway(document({"limit": "1/day", "mode": "shadow"}))
    assert [ask(one) for _ in range(3)] == [200, 200, 200]


def test_quotas_go_on_after_a_restart(gateway: StartGateway) -> None:
    store = {"store": {"url": "sqlite:///quotas.db"}}
    one = gateway(document({"limit": "3/month"}, **store))
    assert [ask(one) for _ in range(2)] == [200, 200]
    assert one.server.loaded.store is not None
    file = one.server.loaded.store.url.path
    one.stop()
    again = gateway(document({"limit": "3/month"}, store={"url": f"sqlite:///{file}"}))
    assert again.server.quotas is not None
    book = again.server.quotas
    eventually(lambda: book.loaded, "the quotas of the store")
    assert [ask(again) for _ in range(2)] == [200, 429]


def test_a_crash_loses_no_more_than_the_last_second(gateway: StartGateway, process: Any, tmp_path: Any) -> None:
    text = json.dumps(
        document({"limit": "100/month", "usage_path": "/usage"}, store={"url": f"sqlite:///{tmp_path}/quotas.db"})
        | {"listeners": [{"address": "127.0.0.1:0"}], "admin": "off", "access_log": "off"}
    )
    first = process(text)
    for _ in range(5):
        first.get("/")
    time.sleep(2.5)  # the bound that the page states is a matter of time
    first.process.kill()
    second = process(text)
    second.listening()

    def used() -> Any:
        return second.get("/usage").json()["quotas"][0]["used"]

    eventually(lambda: used() == 5, "what was written before the crash")


@needs_redis
def test_gateways_share_quotas_in_redis(gateway: StartGateway, redis: RedisServer) -> None:
    plan = document(
        {"limit": "5/month", "usage_path": "/usage", "on_store_failure": "deny"},
        redis={"url": redis.url, "timeout": "5s"},
    )
    two = [gateway(plan) for _ in range(2)]
    for one in two:
        reached(one)
    assert sorted(ask(two[number % 2]) for number in range(8)) == [200] * 5 + [429] * 3
    assert [usage(one)[0]["used"] for one in two] == [5, 5]
    two[0].stop()
    again = gateway(plan)
    reached(again)
    assert ask(again) == 429
    redis.kill()
    eventually(lambda: ask(again) == 503, "a dead redis")


@needs_redis
def test_refunds_and_lookups_in_redis(gateway: StartGateway, redis: RedisServer) -> None:
    one = gateway(
        document(
            {"limit": "5/day", "refund_failures": True, "usage_path": "/usage"},
            redis={"url": redis.url, "timeout": "5s"},
        )
    )
    reached(one)
    assert ask(one, path="/failing") == 503
    eventually(lambda: usage(one)[0]["used"] == 0, "the refund")
    assert [ask(one) for _ in range(6)] == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ({"limit": "10"}, "expected a quota such as `10000/month`"),
        ({"limit": 10}, "the period is missing"),
        ({"limit": "10/day", "period": "month"}, "`limit` says `day` already"),
        ({"limit": "0/day"}, "at least 1"),
        ({"limit": "1/day", "timezone": "Europe/Berln"}, "there is no time zone `Europe/Berln`"),
        ({"limit": "1/day", "usage_path": "usage"}, "starts with `/`"),
        ({"limit": "1/day", "tiers": {"a": 0}}, "at least 1"),
        ({"limit": "1/day", "store": "redis"}, "the document has no `redis`"),
        ({}, "`limit` is missing"),
        ({"limits": [{"limit": "1/day"}, {"limit": "2/day"}]}, "there is a quota `default` for a day already"),
    ],
)
def test_what_is_no_quota_is_said(gateway: StartGateway, quota: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        gateway(document(quota))


def reached(one: RunningGateway) -> None:
    """Waits until Redis answers."""
    eventually(lambda: one.get("/usage", headers={"x-user": "x"}).status == 200, "redis")


def usage(one: RunningGateway, user: str = "ann") -> list[dict[str, Any]]:
    answer = one.get("/usage", headers={"x-user": user})
    assert answer.status == 200, answer
    assert answer.headers["cache-control"] == "no-store"
    quotas = answer.json()["quotas"]
    assert isinstance(quotas, list)
    return quotas
