"""Gateways that share their limits in Redis: real processes, a real server, and what can happen to both."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import StartGateway, StartProcess
from tests.harness import GatewayProcess, RunningGateway
from tests.harness.gateway import ask
from tests.harness.poll import eventually
from tests.harness.redis import RedisCluster, RedisServer, needs_redis

pytestmark = needs_redis

WINDOW = "1h"


def patient(redis: RedisServer) -> str:
    """Exactness has nothing to do with time, and the machine may be busy."""
    return f"{{url: '{redis.url}', timeout: 5s}}"


def document(redis: str, limit: str = "algorithm: fixed_window, limit: 40/1h", more: str = "") -> str:
    return f"""
listeners: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0"}}
access_log: off
workers: 2
redis: {redis}
routes:
  - name: limited
    paths: [/]
    respond: {{status: 200, body: ok}}
    policies: {{rate_limit: {{{limit}{more}}}}}
"""


def flood(gateways: list[GatewayProcess], requests: int) -> Counter[int]:
    """That many requests to each gateway, all at once; how many got which status."""

    def some(gateway: GatewayProcess) -> list[int]:
        return [gateway.get("/").status for _ in range(requests)]

    with ThreadPoolExecutor(len(gateways) * 2) as threads:
        lists = threads.map(some, gateways * 2)
        return Counter(status for statuses in lists for status in statuses)


@pytest.mark.parametrize(
    "limit",
    [
        "algorithm: fixed_window, limit: 40/1h",
        "algorithm: sliding_window, limit: 40/1h",
        "algorithm: sliding_log, limit: 40/1h",
        "algorithm: token_bucket, limit: 40/1h",
        "algorithm: leaky_bucket, limit: 10/1s, max_delay: 200ms",
    ],
)
def test_four_gateways_never_admit_more_than_the_limit(process: StartProcess, redis: RedisServer, limit: str) -> None:
    gateways = [process(document(patient(redis), limit, ", on_store_failure: deny")) for _ in range(4)]
    for gateway in gateways:
        gateway.listening()
    began = time.monotonic()
    statuses = flood(gateways, 15)
    took = time.monotonic() - began
    assert set(statuses) <= {200, 429}, statuses
    if "leaky" in limit:
        # It runs out at 10 a second, and holds what would wait no longer than 200 ms.
        assert statuses[200] <= 10 * (took + 0.2) + 1
    else:
        assert statuses[200] == 40
    assert statuses[429] > 0


def test_the_fields_and_the_wait_are_those_of_a_limit_of_one_gateway(gateway: StartGateway, redis: RedisServer) -> None:
    options = {"limit": "2/1h", "algorithm": "fixed_window", "name": "per_client"}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": {"rate_limit": options}}
    shared = gateway({"routes": [route], "redis": {"url": redis.url, "timeout": "5s"}})
    local = gateway({"routes": [route]})
    for _ in range(3):
        answers = [shared.get("/"), local.get("/")]
        for name in ("ratelimit-policy", "ratelimit"):
            ours, theirs = (answer.headers[name].partition(";t=")[0] for answer in answers)
            assert ours == theirs
        assert answers[0].status == answers[1].status
    assert answers[0].code == "rate_limited"
    assert 0 < int(answers[0].headers["retry-after"]) <= 4000


def test_what_does_not_count_is_given_back(gateway: StartGateway, redis: RedisServer) -> None:
    policies = {"rate_limit": {"limit": "3/1h", "algorithm": "sliding_window", "count": {"status": 200}}}
    ok = {"name": "ok", "paths": ["/ok"], "respond": {"status": 200}}
    bad = {"name": "bad", "paths": ["/bad"], "respond": {"status": 404}}
    one = gateway({"routes": [ok, bad], "policies": policies, "redis": {"url": redis.url, "timeout": "5s"}})
    for _ in range(10):
        assert one.get("/bad").status == 404
        # Nobody waits for the refund, so it may come a moment later.
        eventually(lambda: one.get("/bad").status == 404, "the refund")

    def left() -> bool:
        return [one.get("/ok").status for _ in range(3)] == [200, 200, 200]

    eventually(left, "the whole budget")
    assert one.get("/ok").status == 429


def test_a_leaky_bucket_holds_requests_of_all_gateways_in_one_row(gateway: StartGateway, redis: RedisServer) -> None:
    policies = {"rate_limit": {"limit": "10/1s", "algorithm": "leaky_bucket", "max_delay": "2s"}}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": policies}
    two = [gateway({"routes": [route], "redis": {"url": redis.url, "timeout": "5s"}}) for _ in range(2)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        assert {answer.status for answer in threads.map(lambda number: two[number % 2].get("/"), range(8))} == {200}
    assert time.monotonic() - began > 0.6


@pytest.mark.parametrize(("mode", "expected"), [("deny", 503), ("allow", 200)])
def test_a_dead_store_denies_or_allows_as_it_is_told(
    gateway: StartGateway, redis: RedisServer, mode: str, expected: int
) -> None:
    one = _one(gateway, redis, on_store_failure=mode)
    redis.kill()
    statuses = Counter(one.get("/").status for _ in range(20))
    assert set(statuses) <= {200, expected}
    answer = one.get("/")
    assert answer.status == expected
    if expected == 503:
        assert answer.code == "limits_unavailable"
        assert "127.0.0.1" not in answer.text


def test_a_killed_store_leaves_each_gateway_its_share_until_it_is_back(
    process: StartProcess, redis: RedisServer
) -> None:
    gateways = [process(document(redis.url)) for _ in range(4)]
    for gateway in gateways:
        gateway.listening()
    eventually(lambda: all(_metric(g, "tidegate_redis_gateways") == 4 for g in gateways), "four heartbeats")
    redis.kill()
    eventually(lambda: all(_fails_over(gateway) for gateway in gateways), "open breakers")
    for gateway in gateways:
        # Its share is 10, and some of it may be used already.
        statuses = Counter(gateway.get("/").status for _ in range(15))
        assert statuses[200] <= 10
        assert statuses[429] >= 5
        assert gateway.log.count("limit store failed") == 1
    redis.start()
    eventually(lambda: all(_metric(g, "tidegate_redis_breaker_open") == 0 for g in gateways), "closed breakers")
    assert flood(gateways, 15)[200] <= 40
    for gateway in gateways:
        gateway.wait_for_log("limit store answers again")


@pytest.mark.parametrize("how", ["SIGSTOP", "CLIENT PAUSE"])
def test_a_paused_store_holds_no_request_longer_than_its_budget(
    gateway: StartGateway, redis: RedisServer, how: str
) -> None:
    one = _one(gateway, redis, on_store_failure="allow")
    if how == "SIGSTOP":
        redis.signal(signal.SIGSTOP)
    else:
        assert redis.call("CLIENT", "PAUSE", 3000, "ALL") == b"+OK\r\n"
    took = []
    for _ in range(30):
        began = time.monotonic()
        assert one.get("/").status == 200
        took.append(time.monotonic() - began)
    # The budget is 20 ms; the rest is what a busy machine adds.
    assert sorted(took)[-2] < 0.15, took
    assert sorted(took)[len(took) // 2] < 0.02, "the breaker has opened"
    if how == "SIGSTOP":
        redis.signal(signal.SIGCONT)
    eventually(lambda: "tidegate_redis_breaker_open 0" in one.metrics(), "a closed breaker")


def test_the_share_of_a_gateway_that_was_killed_goes_to_the_others(process: StartProcess, redis: RedisServer) -> None:
    gateways = [process(document(patient(redis))) for _ in range(3)]
    for gateway in gateways:
        gateway.listening()
    eventually(lambda: all(_metric(g, "tidegate_redis_gateways") == 3 for g in gateways), "three heartbeats")
    gateways[0].signal(signal.SIGKILL)
    eventually(lambda: all(_metric(g, "tidegate_redis_gateways") == 2 for g in gateways[1:]), "two heartbeats")
    assert flood(gateways[1:], 30)[200] == 40


def test_a_cluster_counts_as_one(process: StartProcess, cluster: RedisCluster) -> None:
    redis = f"{{cluster: true, nodes: {cluster.nodes[:1]}, timeout: 5s}}"
    limits = (
        "on_store_failure: deny, limits: ["
        "{name: all, key: everybody, algorithm: fixed_window, limit: 30/1h},"
        "{name: each, key: '{header.x-user}', algorithm: token_bucket, limit: 20/1h}]"
    )
    gateways = [process(document(redis, limits)) for _ in range(2)]
    for gateway in gateways:
        gateway.listening()
    eventually(lambda: all(g.get("/").status != 503 for g in gateways), "the cluster is known")
    statuses = flood(gateways, 20)
    assert set(statuses) <= {200, 429}
    # Two requests were needed to see that it is known.
    assert 18 <= statuses[200] <= 30


def test_limits_go_on_while_a_cluster_moves_their_slot(gateway: StartGateway, cluster: RedisCluster) -> None:
    options = {"limit": "1000/1h", "algorithm": "fixed_window", "key": "one", "on_store_failure": "deny"}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": {"rate_limit": options}}
    redis = {"cluster": True, "nodes": cluster.nodes, "timeout": "5s"}
    one = gateway({"routes": [route], "redis": redis})
    eventually(lambda: one.get("/").status == 200, "the cluster is known")
    key = next(
        text.split(b"\r\n")[2]
        for server in cluster.servers
        if (text := server.call("KEYS", "*rate_limit*")) != b"*0\r\n"
    ).decode()
    slot = int(cluster.servers[0].call("CLUSTER", "KEYSLOT", key)[1:-2])
    source = next(s for s in cluster.servers if s.call("EXISTS", key) == b":1\r\n")
    target = next(s for s in cluster.servers if s is not source)
    names = {s.port: s.call("CLUSTER", "MYID").split(b"\r\n")[1].decode() for s in cluster.servers}
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
    assert source.call("MIGRATE", "127.0.0.1", target.port, key, 0, 1000).startswith(b"+OK")
    before = int(one.get("/").headers["ratelimit"].partition("r=")[2].partition(";")[0])
    for server in (target, source):
        server.call("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])
    answers = [one.get("/") for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    after = int(answers[-1].headers["ratelimit"].partition("r=")[2].partition(";")[0])
    assert after == before - 10, "what was counted went with the slot"


def test_the_document_that_is_shown_holds_no_password(gateway: StartGateway, redis: RedisServer) -> None:
    redis.call("CONFIG", "SET", "requirepass", "topsecret")
    limit = {"limit": "1000/1h", "on_store_failure": "deny"}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": {"rate_limit": limit}}
    for url in (f"redis://:topsecret@{redis.address}", {"url": redis.url, "password": "topsecret"}):
        one = gateway({"routes": [route], "redis": url, "admin": {"address": "127.0.0.1:0"}})
        reached(one)
        assert one.admin is not None
        host, port = one.admin.url.removeprefix("http://").split(":")
        shown = ask((host, int(port)), "GET", "/config")
        assert "redis" in shown.text
        assert "topsecret" not in shown.text


def reached(one: RunningGateway) -> None:
    """Waits until Redis answers."""
    eventually(lambda: one.get("/").status == 200, "a limit in redis")


def _one(gateway: StartGateway, redis: RedisServer, url: str | None = None, **options: object) -> RunningGateway:
    """A gateway whose limits in Redis are reached."""
    limit = {"limit": "1000/1h", "algorithm": "fixed_window", **options}
    route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": {"rate_limit": limit}}
    one = gateway({"routes": [route], "redis": url or redis.url, "access_log": "off"})
    eventually(lambda: one.get("/").status == 200 and b"rate_limit" in _keys(redis), "a limit in redis")
    return one


def _keys(redis: RedisServer) -> bytes:
    return redis.call("KEYS", "*")


def _metric(gateway: GatewayProcess, name: str) -> float | None:
    for line in gateway.get("/metrics", "admin").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return None


def _fails_over(gateway: GatewayProcess) -> bool:
    gateway.get("/")
    return _metric(gateway, "tidegate_redis_breaker_open") == 1
