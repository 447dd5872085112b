"""Gateways tell each other by Redis that a breaker opened."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, check

from tests.conftest import StartGateway, StartUpstream
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.poll import eventually
from tests.harness.redis import RedisServer, needs_redis
from tests.harness.upstream import OK

FAILS = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"


def document(service: FakeUpstream, redis: RedisServer, **breaker: Any) -> dict[str, Any]:
    options = {"failure_threshold": 2, "timeout": "20s", "share": True, **breaker}
    return {
        "redis": {"url": redis.url, "timeout": "5s"},
        "services": [{"name": "orders", "url": service.url, "retries": 0, "circuit_breaker": options}],
        "routes": [{"name": "orders", "paths": ["/orders"], "service": "orders"}],
    }


def is_open(running: RunningGateway) -> bool:
    return 'tidegate_breaker_state{breaker="orders",state="open"} 1' in running.metrics()


@needs_redis
def test_a_breaker_that_opens_opens_those_of_the_others_within_a_second(
    gateway: StartGateway, upstream: StartUpstream, redis: RedisServer
) -> None:
    service = upstream().answer(FAILS)
    here, there = gateway(document(service, redis)), gateway(document(service, redis))
    assert [here.get("/orders").status for _ in range(2)] == [500, 500]
    opened = time.monotonic()
    eventually(lambda: is_open(there), "the other gateway's breaker is open")
    assert time.monotonic() - opened < 1.0
    refused = there.get("/orders")
    assert refused.code == "circuit_open"
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert len(service.requests) == 2
    assert 'state="open",reason="other_gateway"} 1' in there.metrics()
    # Each tries for itself whether the service is well again.
    service.answer(OK)
    there.advance(20)
    assert [there.get("/orders").status for _ in range(3)] == [200] * 3
    assert not is_open(there)
    assert is_open(here)


@needs_redis
def test_without_redis_each_finds_out_for_itself(
    gateway: StartGateway, upstream: StartUpstream, redis: RedisServer
) -> None:
    service = upstream().answer(FAILS)
    here, there = gateway(document(service, redis)), gateway(document(service, redis))
    redis.stop()
    assert [here.get("/orders").status for _ in range(3)] == [500, 500, 503]
    assert [there.get("/orders").status for _ in range(3)] == [500, 500, 503]


@needs_redis
def test_what_redis_missed_it_is_told_when_it_is_back(
    gateway: StartGateway, upstream: StartUpstream, redis: RedisServer
) -> None:
    service = upstream().answer(FAILS)
    here, there = gateway(document(service, redis)), gateway(document(service, redis))
    redis.stop()
    assert [here.get("/orders").status for _ in range(2)] == [500, 500]
    redis.start()
    eventually(lambda: is_open(there), "the other gateway's breaker is open")


def test_there_must_be_a_redis_to_share_it_by(tmp_path: Path) -> None:
    service = {"name": "orders", "url": "http://127.0.0.1:9", "circuit_breaker": {"share": True}}
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"services": [service], "routes": []}))
    with pytest.raises(ConfigError) as refused:
        check(file)
    assert [problem.path for problem in refused.value.problems] == ["services[0].circuit_breaker.share"]
