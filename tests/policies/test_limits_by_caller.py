"""Limits and who calls: each caller has budgets of its own, by its tier; who may not pass costs nobody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import Connection, RunningGateway, eventually

Caller = Callable[..., int]


def vouch(connection: Connection) -> None:
    """Believes whatever the request says about its caller; who has no name may not pass."""
    while (request := connection.request()) is not None:
        user = request.header("x-user")
        lines = f"x-user: {user}\r\nx-issuer: {request.header('x-issuer')}\r\nx-plan: {request.header('x-plan')}\r\n"
        status = "200 OK" if user else "403 Forbidden"
        connection.send(f"HTTP/1.1 {status}\r\n{lines}content-length: 0\r\n\r\n")


@pytest.fixture
def called(gateway: StartGateway, upstream: StartUpstream) -> Callable[..., tuple[RunningGateway, Caller]]:
    """A gateway with these policies behind `vouch`, and what calls it: the status of one call."""

    def begin(**policies: Any) -> tuple[RunningGateway, Caller]:
        auth, service = upstream().script(vouch), upstream().script(echo_all)
        claims = {"sub": "x-user", "iss": "x-issuer", "plan": "x-plan"}
        asks = {"service": "auth", "headers": ["x-user", "x-issuer", "x-plan"], "claims": claims}
        document = {
            "services": [{"name": "service", "url": service.url}, {"name": "auth", "url": auth.url}],
            "policies": {"forward_auth": asks, **policies},
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }
        running = gateway(document, workers=2)

        def call(user: str = "", issuer: str = "one", plan: str = "free", path: str = "/") -> int:
            return running.get(path, headers={"x-user": user, "x-issuer": issuer, "x-plan": plan}).status

        return running, call

    return begin


def test_each_subject_has_its_own_budget(called: Any) -> None:
    _, call = called(rate_limit={"limit": "2/1d"})
    assert [call("ann") for _ in range(3)] == [200, 200, 429]
    assert [call("bob") for _ in range(3)] == [200, 200, 429]


def test_the_same_subject_of_two_issuers_is_two_callers(called: Any) -> None:
    _, call = called(rate_limit={"limit": "1/1d"})
    assert [call("ann", issuer) for issuer in ("one", "two", "one", "two")] == [200, 200, 429, 429]


def test_a_claim_can_be_the_key_and_the_tier(called: Any) -> None:
    limit = {"limit": "1/1d", "key": "user:{claims.sub}", "tier": "{claims.plan}", "tiers": {"business": "3/1d"}}
    _, call = called(rate_limit=limit)
    assert [call("ann") for _ in range(2)] == [200, 429]
    assert [call("bob", plan="business") for _ in range(4)] == [200, 200, 200, 429]


def test_who_may_not_pass_costs_nobodys_budget(called: Any) -> None:
    _, call = called(rate_limit={"limit": "1/1d", "key": "everybody"})
    assert [call() for _ in range(5)] == [403] * 5
    assert [call("ann"), call("bob")] == [200, 429]


def test_each_subject_has_its_own_leases(called: Any) -> None:
    running, call = called(concurrency={"limit": 1})
    with running.raw() as client:
        client.send("GET /hang HTTP/1.1\r\nHost: a\r\nX-User: ann\r\nX-Issuer: one\r\n\r\n")
        eventually(lambda: "\ntidegate_limit_leases 1\n" in running.metrics())
        assert [call("ann"), call("bob")] == [429, 200]
    eventually(lambda: call("ann") == 200)


def test_a_lease_lasts_as_long_as_a_tunnel(gateway: StartGateway, upstream: StartUpstream) -> None:
    def switch(connection: Connection) -> None:
        if connection.request() is not None:
            connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            connection.hang()

    service = upstream().script(switch)
    running = gateway(
        {
            "services": [{"name": "service", "url": service.url}],
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
            "policies": {"concurrency": {"limit": 1}},
        }
    )
    with running.raw() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        assert b" 101 " in client.read_until(b"\r\n\r\n")
        assert "\ntidegate_limit_leases 1\n" in running.metrics()
        assert running.get("/").status == 429
    eventually(lambda: "\ntidegate_limit_leases 0\n" in running.metrics())
