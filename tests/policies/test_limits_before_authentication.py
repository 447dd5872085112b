"""`rate_limit` and `concurrency` before authentication: who guesses is refused before anything is checked."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tidegate._native import hash_password

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import Answer, Connection, FakeUpstream, RunningGateway, eventually
from tests.harness.redis import RedisServer, needs_redis

GUESSES = {"count": "refused_credentials", "limit": "3/1d", "algorithm": "sliding_log"}
"""Three a day for each address."""
ATTACKER, OTHER = "203.0.113.9", "198.51.100.7"


@pytest.fixture(scope="module")
def users() -> list[dict[str, Any]]:
    return [{"name": "acme", "basic": [{"username": "ann", "password_hash": hash_password("secret")}]}]


class Scene:
    """A gateway that believes what requests say of the client's address."""

    def __init__(self, gateway: RunningGateway, asked: FakeUpstream, service: FakeUpstream) -> None:
        self.gateway = gateway
        self.asked = asked
        """Who is asked about credentials: `junk` is no good, and `slow` waits for `release`."""
        self.service = service
        self.release = threading.Event()
        asked.script(self._answer)

    def _answer(self, connection: Connection) -> None:
        while (request := connection.request()) is not None:
            credential = request.body.decode() + (request.header("authorization") or "")
            if "slow" in credential:
                self.release.wait(10)
            good = "junk" not in credential
            body = json.dumps({"active": good})
            status = 200 if good or request.method == "POST" else 401
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
            connection.send(f"{head}\r\n\r\n{body}")

    def get(self, address: str = ATTACKER, path: str = "/", **headers: str) -> Answer:
        return self.gateway.get(path, headers={"x-forwarded-for": address, **headers})

    def log_in(self, password: str | None, address: str = ATTACKER, path: str = "/") -> Answer:
        if password is None:
            return self.get(address, path)
        return self.get(address, path, authorization="Basic " + base64.b64encode(f"ann:{password}".encode()).decode())

    def statuses(self, *passwords: str | None, address: str = ATTACKER, path: str = "/") -> list[int]:
        return [self.log_in(password, address, path).status for password in passwords]

    def decisions(self, limit: str = "default") -> dict[str, int]:
        found = re.findall(
            rf'_decisions_total\{{.*limit="{limit}",outcome="(\w+)"\}} (\d+)$', self.gateway.metrics(), re.M
        )
        return {outcome: int(count) for outcome, count in found if count != "0"}


Begin = Callable[..., Scene]


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream, users: Any) -> Iterator[Begin]:
    scenes: list[Scene] = []

    def begin(policies: dict[str, Any], routes: tuple[Any, ...] = (), **keys: Any) -> Scene:
        asked, service = upstream(), upstream().script(echo_all)
        document = {
            "trusted_proxies": ["127.0.0.1"],
            "services": [{"name": "service", "url": service.url}, {"name": "asked", "url": asked.url, "retries": 0}],
            "consumers": users,
            "policies": policies,
            "routes": [*routes, {"name": "all", "paths": ["/"], "service": "service"}],
            **keys,
        }
        scenes.append(Scene(gateway(document, workers=2), asked, service))
        return scenes[-1]

    yield begin
    for it in scenes:
        it.release.set()


# ---- who guesses


def test_who_guesses_passwords_is_refused_and_nobody_else_is(scene: Begin) -> None:
    it = scene({"basic": {"remember_failures": "1ms"}, "rate_limit": GUESSES})
    assert it.statuses("a", "b", "c", "d", "e") == [401, 401, 401, 429, 429]
    # The right password is no way to find out that it is right.
    assert it.statuses("secret") == [429]
    assert it.statuses("secret", "secret", address=OTHER) == [200, 200]
    assert it.log_in("f").code == "rate_limited"
    it.gateway.advance(2 * 86_400)
    assert it.statuses("secret", "a") == [200, 401]


def test_good_credentials_and_none_at_all_cost_nothing(scene: Begin) -> None:
    it = scene({"basic": {}, "rate_limit": GUESSES})
    assert it.statuses(*["secret"] * 10) == [200] * 10
    assert it.statuses(*[None] * 10) == [401] * 10
    assert it.statuses("a", "secret", "b", "secret", "c", "secret") == [401, 200, 401, 200, 401, 429]


def test_guesses_that_come_together_are_not_more_than_those_that_come_one_by_one(scene: Begin) -> None:
    it = scene({"basic": {}, "rate_limit": GUESSES})
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: it.log_in(f"guess {number}").status, range(40)))
    assert sorted(answers) == [401] * 3 + [429] * 37


@pytest.mark.parametrize(
    "credentials",
    [
        {"introspection": {"service": "asked", "path": "/introspect", "cache": {"negative_ttl": "1ms"}}},
        {"forward_auth": {"service": "asked", "headers": ["authorization"]}},
    ],
    ids=["introspection", "forward_auth"],
)
def test_a_flood_of_junk_tokens_does_not_reach_the_provider(scene: Begin, credentials: dict[str, Any]) -> None:
    it = scene({**credentials, "rate_limit": GUESSES})
    with ThreadPoolExecutor(8) as threads:
        flood = threads.map(lambda number: it.get(authorization=f"Bearer junk-{number}").status, range(50))
        assert sorted(flood) == [401] * 3 + [429] * 47
    assert len(it.asked.requests) == 3
    assert it.get(OTHER, authorization="Bearer good").status == 200
    assert len(it.asked.requests) == 4


def test_junk_without_a_form_and_bad_signatures_count_too(scene: Begin) -> None:
    issuer = {"issuer": "https://issuer.example", "algorithms": ["HS256"], "secret": "s" * 32}
    it = scene({"jwt": issuer, "rate_limit": GUESSES})
    tokens = ["junk", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "junk"]
    assert [it.get(authorization=f"Bearer {token}").status for token in tokens] == [401, 401, 401, 429]


def test_who_leaves_before_the_answer_has_guessed_all_the_same(scene: Begin) -> None:
    it = scene({"introspection": {"service": "asked", "path": "/introspect"}, "rate_limit": GUESSES})
    for number in range(3):
        with it.gateway.raw() as client:
            client.send(
                f"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {ATTACKER}\r\n"
                f"authorization: Bearer slow-{number}\r\n\r\n"
            )
            eventually(lambda number=number: len(it.asked.requests) > number)  # type: ignore[misc]
    eventually(lambda: it.get(authorization="Bearer other").status == 429)


def test_a_provider_that_is_down_locks_nobody_out(scene: Begin) -> None:
    it = scene({"introspection": {"service": "asked", "path": "/introspect"}, "rate_limit": GUESSES})
    it.asked.stop()
    assert [it.get(authorization="Bearer a").status for _ in range(6)] == [503] * 6


def test_a_request_that_is_let_in_does_not_count_for_as_long_as_it_lasts(scene: Begin) -> None:
    it = scene({"basic": {}, "rate_limit": {**GUESSES, "limit": "1/1d"}})
    with it.gateway.raw() as client:
        right = base64.b64encode(b"ann:secret").decode()
        client.send(
            f"GET /hang HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {ATTACKER}\r\nauthorization: Basic {right}\r\n\r\n"
        )
        it.service.wait_for_requests(1)
        assert it.statuses("secret", "a", "secret") == [200, 401, 429]


def test_a_refusal_by_authorize_is_no_guess(scene: Begin) -> None:
    it = scene({"basic": {}, "authorize": {"consumers": ["other"]}, "rate_limit": GUESSES})
    assert it.statuses(*["secret"] * 6) == [403] * 6


def test_several_kinds_of_credentials_count_together(scene: Begin) -> None:
    it = scene({"any_of": {"basic": {}, "api_key": {}}, "rate_limit": GUESSES})
    assert it.get(**{"x-api-key": "no"}).status == 401
    assert it.statuses("a", "b", "c", "secret") == [401, 401, 429, 429]


# ---- what the answers say


def test_the_fields_are_for_those_whom_they_concern(scene: Begin) -> None:
    it = scene(
        {"basic": {}, "rate_limit": {"limits": [{**GUESSES, "name": "guesses"}, {"name": "all", "limit": "9/1d"}]}}
    )
    assert [name for name in it.log_in("secret").headers if name.startswith("ratelimit")] == [
        "ratelimit-policy",
        "ratelimit",
    ]
    assert it.log_in("secret").headers["ratelimit"].startswith('"all";r=7;')
    refused = [it.log_in("a") for _ in range(4)]
    assert [answer.status for answer in refused] == [401, 401, 401, 429]
    remaining = [re.findall(r'"(\w+)";r=(\d+)', answer.headers["ratelimit"]) for answer in refused]
    assert remaining == [[("guesses", "2")], [("guesses", "1")], [("guesses", "0")], [("guesses", "0")]]
    assert "retry-after" in refused[-1].headers
    assert it.decisions("guesses") == {"allowed": 5, "refunded": 2, "refused": 1}
    assert it.decisions("all") == {"allowed": 2}


def test_limits_of_both_stages_stand_in_one_answer(scene: Begin) -> None:
    limits = [{"name": "early", "stage": "before_authentication", "limit": "5/1d"}, {"name": "late", "limit": "9/1d"}]
    it = scene({"basic": {}, "rate_limit": {"limits": limits}})
    answer = it.log_in("secret")
    lines = [value for name, value in answer.fields if name == "ratelimit"]
    assert re.findall(r'"(\w+)";r=(\d)', ", ".join(lines)) == [("early", "4"), ("late", "8")]
    # All that come before authentication count, whatever becomes of them; the caller's own budget is left alone.
    assert it.statuses(None, "a", "b", "c", "secret") == [401, 401, 401, 401, 429]
    assert it.statuses("secret", address=OTHER) == [200]
    assert it.decisions("late") == {"allowed": 2}


# ---- where it stands


def test_each_stage_has_the_nearest_level_of_its_own(scene: Begin) -> None:
    own = {"name": "own", "paths": ["/own"], "service": "service", "policies": {"rate_limit": {"limit": "1/1d"}}}
    off = {"name": "off", "paths": ["/off"], "service": "service", "policies": {"rate_limit": "off"}}
    it = scene({"basic": {}, "rate_limit": GUESSES}, (own, off))
    assert it.statuses("secret", "secret", path="/own") == [200, 429]
    assert it.statuses("a", "b", "c", "d", path="/own") == [401, 401, 401, 429]
    assert it.statuses(*"abcdef", path="/off") == [401] * 6


def test_a_consumers_own_limit_leaves_that_before_authentication_alone(scene: Begin, users: Any) -> None:
    consumers = [{**users[0], "policies": {"rate_limit": {"limit": "2/1d"}}}]
    limits = {"limits": [{**GUESSES, "name": "guesses"}, {"limit": "9/1d"}]}
    it = scene({"basic": {}, "rate_limit": limits}, consumers=consumers)
    assert it.statuses("secret", "secret", "secret") == [200, 200, 429]
    assert it.statuses("a", "b", "c", "secret") == [401, 401, 401, 429]


def test_what_ip_keeps_out_counts_for_nothing(scene: Begin) -> None:
    it = scene(
        {
            "basic": {},
            "ip": {"deny": [OTHER]},
            "rate_limit": {"stage": "before_authentication", "limit": "2/1d", "key": "all"},
        }
    )
    assert it.statuses(*"abcdef", address=OTHER) == [403] * 6
    assert it.statuses("secret", "secret", "secret") == [200, 200, 429]


def test_a_shadow_refuses_nobody(scene: Begin) -> None:
    it = scene({"basic": {}, "rate_limit": {**GUESSES, "mode": "shadow"}})
    assert it.statuses(*"abcde", "secret") == [401] * 5 + [200]
    assert it.decisions()["shadow_refused"] == 3


# ---- concurrency


def test_a_limit_of_those_under_way_holds_before_the_credentials_are_checked(scene: Begin) -> None:
    policies = {
        "introspection": {"service": "asked", "path": "/introspect"},
        "concurrency": {"stage": "before_authentication", "limit": 2},
    }
    it = scene(policies)
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(it.get, authorization=f"Bearer slow-{number}") for number in range(2)]
        it.asked.wait_for_requests(2)
        refused = it.get(authorization="Bearer junk")
        assert (refused.status, refused.code) == (429, "too_many_concurrent")
        assert it.get(OTHER, authorization="Bearer good").status == 200
        it.release.set()
        assert [one.result().status for one in slow] == [200, 200]
    assert len(it.asked.requests) == 3
    eventually(lambda: it.get(authorization="Bearer good").status == 200)


# ---- shared by gateways


@needs_redis
def test_gateways_that_share_count_guesses_together(scene: Begin, redis: RedisServer) -> None:
    shared = {"redis": {"url": redis.url, "timeout": "5s"}}
    one, two = (scene({"basic": {}, "rate_limit": GUESSES}, **shared) for _ in range(2))
    assert one.statuses(*["secret"] * 5) == [200] * 5
    eventually(lambda: one.decisions().get("refunded") == 5)
    assert one.statuses("a") + two.statuses("b") + one.statuses("c") == [401] * 3
    assert one.statuses("secret") + two.statuses("secret") == [429, 429]
    assert two.statuses("secret", address=OTHER) == [200]
