"""Gateways that settle their limits with Redis now and then: real processes, a real server, moved clocks."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartProcess
from tests.harness import RunningGateway
from tests.harness.poll import eventually
from tests.harness.redis import RedisCluster, RedisServer, needs_redis
from tests.limits.test_shared import document, flood

pytestmark = needs_redis

SYNC = ", sync: 100ms, on_store_failure: deny"
WINDOW = "algorithm: fixed_window, limit: 40/1h"


def settled(redis: RedisServer) -> dict[str, int]:
    """What Redis has counted, by limit; of windows, in this one."""
    lines = redis.call("KEYS", "*/rate_limit/*").split(b"\r\n") + redis.call("KEYS", "*/quota/*").split(b"\r\n")
    keys = [line.decode() for line in lines if b"/rate_limit/" in line or b"/quota/" in line]
    return {key: int(redis.call("GET", key).split(b"\r\n")[1].split()[1]) for key in keys}


def total(redis: RedisServer) -> int:
    return sum(settled(redis).values())


@pytest.mark.parametrize(
    "limit",
    [
        WINDOW,
        "algorithm: sliding_window, limit: 40/1h",
        "algorithm: token_bucket, limit: 40/1h",
        "algorithm: leaky_bucket, limit: 10/1h, max_delay: 4h",
    ],
)
def test_four_gateways_that_heard_of_each_other_admit_no_more_than_the_limit(
    process: StartProcess, redis: RedisServer, limit: str
) -> None:
    gateways = [process(document(redis.url, limit, SYNC + ", mode: shadow" * ("leaky" in limit))) for _ in range(4)]
    for gateway in gateways:
        gateway.listening()
    if "leaky" in limit:
        # Each would be held for minutes; what is counted is the point.
        flood(gateways, 2)
        eventually(lambda: bool(settled(redis)), "what was charged")
        return
    flood(gateways, 15)
    # At the worst each has admitted the whole limit before it heard of the others; from now on nobody admits anything.
    eventually(lambda: flood(gateways, 1)[200] == 0, "all have heard of all")
    statuses = flood(gateways, 10)
    assert set(statuses) == {429}


def test_slow_traffic_of_four_gateways_is_nearly_exact(process: StartProcess, redis: RedisServer) -> None:
    gateways = [process(document(redis.url, WINDOW, SYNC)) for _ in range(4)]
    for gateway in gateways:
        gateway.listening()
    statuses: Counter[int] = Counter()
    took = []
    for number in range(80):
        began = time.monotonic()
        statuses[gateways[number % 4].get("/").status] += 1
        time.sleep(0.05)  # the bound is a matter of time
        took.append(time.monotonic() - began)
    # The page: what each may admit in twice the interval, and the time until Redis has answered.
    interval = sorted(took)[len(took) // 10]
    allowed = 4 * (2 * 0.1 / (interval * 4) + 1)
    assert 40 <= statuses[200] <= 40 + allowed, (statuses, allowed)


def one_with(gateway: StartGateway, redis: str | dict[str, Any], **options: Any) -> RunningGateway:
    limit = {"limit": "5/1h", "algorithm": "fixed_window", "sync": "20ms", "on_store_failure": "deny", **options}
    ok = {"name": "ok", "paths": ["/"], "respond": {"body": "ok"}}
    bad = {"name": "bad", "paths": ["/bad"], "respond": {"status": 404}}
    return gateway({"routes": [ok, bad], "policies": {"rate_limit": limit}, "redis": redis}, workers=2)


def left(one: RunningGateway) -> int:
    return int(one.get("/").headers["ratelimit"].partition("r=")[2].partition(";")[0])


def test_a_moved_clock_gives_away_no_more_than_one_interval(gateway: StartGateway, redis: RedisServer) -> None:
    two = [one_with(gateway, redis.url, limit="20/1h") for _ in range(2)]
    for one in two:
        assert one.get("/").status == 200
    eventually(lambda: total(redis) == 2, "both have settled")
    two[0].advance(3 * 3600)
    statuses = Counter(two[0].get("/").status for _ in range(50))
    # Another window has begun for it, until Redis tells the time: at most one limit more.
    assert statuses[200] <= 40
    eventually(lambda: [one.get("/").status for one in two * 3] == [429] * 6, "the time of Redis rules again")
    assert total(redis) <= 2 + 40 + 20
    assert len(settled(redis)) == 1


def test_no_request_waits_for_a_store_that_is_paused(gateway: StartGateway, redis: RedisServer) -> None:
    one = one_with(gateway, redis.url, limit="1000/1h", on_store_failure="allow")
    assert one.get("/").status == 200
    eventually(lambda: total(redis) == 1, "what was charged")
    redis.signal(signal.SIGSTOP)
    try:
        took = []
        for _ in range(60):
            began = time.monotonic()
            assert one.get("/").status == 200
            took.append(time.monotonic() - began)
        # A request that waits for the store waits 20 ms, or until the breaker opens.
        assert sorted(took)[-3] < 0.018 or sorted(took)[len(took) // 2] < 0.005, took
    finally:
        redis.signal(signal.SIGCONT)
    eventually(lambda: "ratelimit" in one.get("/").headers, "limits that are settled again")


@pytest.mark.parametrize(("mode", "expected"), [("deny", 503), ("allow", 200), ("local_share", 429)])
def test_while_redis_is_gone_the_policy_does_as_it_is_told(
    gateway: StartGateway, redis: RedisServer, mode: str, expected: int
) -> None:
    one = one_with(gateway, redis.url, on_store_failure=mode)
    assert [one.get("/").status for _ in range(6)] == [200] * 5 + [429]
    eventually(lambda: total(redis) == 5, "what was charged")
    redis.kill()
    # Nothing that is refused is settled, so another window must begin before anybody finds out.
    one.advance(3600)
    eventually(lambda: [one.get("/").status for _ in range(8)] == [expected] * 8, mode)
    if mode == "deny":
        assert one.get("/").code == "limits_unavailable"
    redis.start()
    # What it could not be told before it is told now.
    eventually(lambda: total(redis) > 0, "what was charged meanwhile")
    eventually(lambda: one.get("/").status in (200, 429) and "ratelimit" in one.get("/").headers, "all as before")


def test_what_does_not_count_is_given_back(gateway: StartGateway, redis: RedisServer) -> None:
    one = one_with(gateway, redis.url, count={"status": 200})
    for _ in range(10):
        assert one.get("/bad").status == 404
    assert one.get("/").status == 200
    eventually(lambda: total(redis) == 1, "a charge, and no other")
    other = one_with(gateway, redis.url, count={"status": 200})
    assert other.get("/").status == 200
    eventually(lambda: total(redis) == 2, "another")
    assert [other.get("/").status for _ in range(4)] == [200] * 3 + [429]


def test_several_limits_are_charged_together_or_not_at_all(gateway: StartGateway, redis: RedisServer) -> None:
    limits = [
        {"name": "each", "limit": "2/1h", "key": "{header.x-user}", "algorithm": "fixed_window"},
        {"name": "all", "limit": "5/1h", "key": "all", "algorithm": "fixed_window"},
    ]
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}}
    policies = {"rate_limit": {"limits": limits, "sync": "20ms", "on_store_failure": "deny"}}
    one = gateway({"routes": [route], "policies": policies, "redis": redis.url})

    def ask(user: str) -> int:
        return one.get("/", headers={"x-user": user}).status

    assert [ask("ann") for _ in range(4)] == [200, 200, 429, 429]
    assert [ask("bob") for _ in range(2)] == [200, 200]
    assert [ask("eve") for _ in range(3)] == [200, 429, 429]
    eventually(lambda: sorted(settled(redis).values()) == [1, 2, 2, 5], "what each was charged")


def test_gateways_that_settle_and_gateways_that_ask_count_the_same(gateway: StartGateway, redis: RedisServer) -> None:
    settles = one_with(gateway, redis.url)
    asks = one_with(gateway, {"url": redis.url, "timeout": "5s"}, sync=0)
    assert settles.get("/").status == 200
    eventually(lambda: total(redis) == 1, "what was charged")
    eventually(lambda: asks.get("/").status == 200, "redis")
    assert left(asks) == 2
    eventually(lambda: settles.get("/").status == 429 or total(redis) == 5, "the others' charges")
    eventually(lambda: [settles.get("/").status, asks.get("/").status] == [429, 429], "a whole limit")


def test_a_cluster_is_settled_slot_by_slot(gateway: StartGateway, cluster: RedisCluster) -> None:
    options = {"limit": "30/1h", "key": "{header.x-user}", "algorithm": "fixed_window", "sync": "50ms"}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}}
    plan = {
        "routes": [route],
        "policies": {"rate_limit": {**options, "on_store_failure": "deny"}},
        "redis": {"cluster": True, "nodes": cluster.nodes[:1], "timeout": "5s"},
    }
    two = [gateway(plan) for _ in range(2)]
    users = [f"user-{number}" for number in range(40)]
    for one in two:
        assert {one.get("/", headers={"x-user": user}).status for user in users} == {200}

    def counted() -> list[int]:
        return sorted(count for server in cluster.servers for count in settled(server).values())

    eventually(lambda: counted() == [2] * 40, "every key of both")


def test_quotas_are_settled_too(gateway: StartGateway, redis: RedisServer) -> None:
    quota = {"limit": "5/month", "sync": "20ms", "usage_path": "/usage", "refund_failures": True}
    ok = {"name": "ok", "paths": ["/"], "respond": {"body": "ok"}}
    failing = {"name": "failing", "paths": ["/failing"], "respond": {"status": 503}}
    plan = {
        "routes": [ok, failing],
        "policies": {"quota": {**quota, "on_store_failure": "deny"}},
        "redis": {"url": redis.url, "timeout": "5s"},
    }
    two = [gateway(plan) for _ in range(2)]

    def used(one: RunningGateway) -> int:
        return int(one.get("/usage").json()["quotas"][0]["used"])

    assert [one.get("/").status for one in two] == [200, 200]
    assert two[0].get("/failing").status == 503
    for one in two:
        eventually(lambda one=one: used(one) == 2, "the use of both")  # type: ignore[misc]
    assert two[0].get("/").status == 200
    eventually(lambda: used(two[1]) == 3, "a third")
    assert two[1].get("/").status == 200
    eventually(lambda: total(redis) == 4, "a fourth")
    assert [two[1].get("/").status for _ in range(2)] == [200, 429]
    eventually(lambda: two[0].get("/").status == 429, "the other hears of it")
    again = gateway(plan)
    eventually(lambda: again.get("/").status == 429, "a new one hears of it")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algorithm": "sliding_log"}, "a `sliding_log` never lets more than its limit pass"),
        ({"sync": "5ms"}, "expected `0`, or at least 10ms and at most 10s"),
        ({"sync": "11s"}, "expected `0`, or at least 10ms and at most 10s"),
        ({"store": "local"}, "with `store: local` there is nothing to settle with"),
        ({"limit": "5/150ms"}, "`sync` must be at most half of the shortest window"),
        ({"tiers": {"a": "5/150ms"}}, "`sync` must be at most half of the shortest window"),
    ],
)
def test_what_cannot_be_settled_is_said(
    gateway: StartGateway, redis: RedisServer, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        one_with(gateway, redis.url, **{"sync": "100ms", **options})
