"""`rate_limit`: who asks too often is told to wait, and for how long."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import http_sf
import pytest
import yaml

from tests.conftest import StartGateway, StartUpstream
from tests.echo import Answer, EchoGateway, Start, ask
from tests.harness import eventually
from tests.harness.upstream import hang_before_head

PAGE = Path(__file__).parents[2] / "docs" / "policies" / "rate_limit.md"
ALGORITHMS = ["fixed_window", "sliding_window", "sliding_log", "token_bucket"]
HEADER_KEY: dict[str, Any] = {"key": "{header.x-key}"}


def statuses(gateway: EchoGateway, count: int, target: str = "/", **headers: str) -> list[int]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return [ask(gateway, target=target, headers=named).status for _ in range(count)]


def limited(start: Start, workers: int = 2, **options: Any) -> EchoGateway:
    return start({"rate_limit": options}, workers=workers)


def decisions(gateway: EchoGateway) -> dict[str, int]:
    """How often each outcome was counted, over all limits."""
    found = re.findall(r'^tidegate_limit_decisions_total\{.*outcome="(\w+)"\} (\d+)$', gateway.metrics()[1], re.M)
    counts: dict[str, int] = {}
    for outcome, count in found:
        counts[outcome] = counts.get(outcome, 0) + int(count)
    return {outcome: count for outcome, count in counts.items() if count}


def fields(answer: Answer, name: str) -> list[tuple[str, dict[str, int]]]:
    """A list of structured fields, as a library reads it."""
    parsed: Any = http_sf.parse(answer.one(name).encode(), tltype="list")
    return [(item, parameters) for item, parameters in parsed]


# ---- refusing


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_asks_too_often_is_refused_until_time_has_passed(start: Start, algorithm: str) -> None:
    gateway = limited(start, limit="3/1d", algorithm=algorithm)
    assert statuses(gateway, 5) == [200, 200, 200, 429, 429]
    gateway.advance(2 * 86_400)
    assert statuses(gateway, 4) == [200, 200, 200, 429]


def test_a_refusal_says_why_and_when_to_come_back(start: Start) -> None:
    gateway = limited(start, rate="1/10m", burst=1)
    assert ask(gateway).status == 200
    answer = ask(gateway)
    assert answer.json()["code"] == "rate_limited"
    assert 600 <= int(answer.one("retry-after")) <= 661
    gateway.advance(float(answer.one("retry-after")))
    assert ask(gateway).status == 200


def test_those_who_are_refused_together_do_not_come_back_together(start: Start) -> None:
    gateway = limited(start, limit="1/1d", algorithm="fixed_window")
    ask(gateway)
    assert len({ask(gateway).one("retry-after") for _ in range(20)}) > 1


def test_all_workers_count_together(start: Start) -> None:
    gateway = limited(start, workers=4, limit="10/1d")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(gateway).status, range(60)))
    assert answers.count(200) == 10


def test_the_service_never_sees_what_is_refused(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    gateway = start({"rate_limit": {"limit": "1/1d", "name": "daily"}}, access_log={"file": str(log)}, workers=1)
    assert statuses(gateway, 2) == [200, 429]
    gateway.stop()
    passed, refused = (json.loads(line) for line in log.read_text().splitlines())
    assert "rule" not in passed
    assert (refused["reason"], refused["rule"]) == ("rate_limited", "daily")
    assert "target" not in refused


# ---- leaky bucket


def test_a_leaky_bucket_holds_what_comes_too_early(start: Start) -> None:
    gateway = limited(start, algorithm="leaky_bucket", rate="1/1h", max_delay="1h")
    assert ask(gateway).status == 200
    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(ask, gateway)
        eventually(lambda: decisions(gateway).get("delayed") == 1)
        assert not held.done()
        # Two hours' worth would be behind it by now.
        assert ask(gateway).status == 429
        gateway.advance(3600)
        assert held.result().status == 200


# ---- what is told


def test_every_answer_tells_the_limits_as_structured_fields(start: Start) -> None:
    limits = [
        {"name": "burst", "rate": 10, "burst": 50},
        {"name": "day", "limit": "1000/1d", "algorithm": "fixed_window"},
        {"name": "tiny", "limit": "7/100ms", "algorithm": "sliding_log"},
    ]
    gateway = limited(start, limits=limits)
    answer = ask(gateway)
    policy = fields(answer, "ratelimit-policy")
    assert policy == [("burst", {"q": 50, "w": 5}), ("day", {"q": 1000, "w": 86_400}), ("tiny", {"q": 7})]
    left = dict(fields(answer, "ratelimit"))
    assert left["burst"] == {"r": 49, "t": 1}
    assert left["day"]["r"] == 999
    assert 0 < left["day"]["t"] <= 86_400
    assert left["tiny"] == {"r": 6, "t": 1}


def test_a_refusal_tells_the_moment_of_retry_after(start: Start) -> None:
    gateway = limited(start, rate="2/1h", burst=1)
    statuses(gateway, 1)
    answer = ask(gateway)
    ((_, told),) = fields(answer, "ratelimit")
    assert told["r"] == 0
    assert 1790 <= told["t"] <= 1800
    assert told["t"] <= int(answer.one("retry-after"))


def test_answers_of_the_gateway_itself_tell_them_too(start: Start) -> None:
    gateway = limited(start, limit="5/1d")
    assert ask(gateway, target="/nowhere-at-all").all("ratelimit-policy") == ['"default";q=5;w=86400']


def test_they_can_be_left_out(start: Start) -> None:
    answer = ask(limited(start, limit="5/1d", headers=False))
    assert answer.all("ratelimit") + answer.all("ratelimit-policy") == []


# ---- several limits


def test_a_request_that_one_limit_refuses_is_charged_to_none(start: Start) -> None:
    gateway = limited(
        start,
        limits=[
            {"name": "all", "limit": "5/1d", "key": "everybody"},
            {"name": "each", "limit": "2/1d", "key": "{header.x-key}"},
        ],
    )
    assert statuses(gateway, 4, x_key="a") == [200, 200, 429, 429]
    assert statuses(gateway, 2, x_key="b") == [200, 200]
    assert statuses(gateway, 2, x_key="c") == [200, 429]


def test_what_stands_beside_the_limits_holds_for_all_of_them(start: Start) -> None:
    limits = [{"name": "one", "limit": "1/1d"}, {"name": "two", "limit": "9/1d", "key": "all"}]
    gateway = limited(start, limits=limits, **HEADER_KEY)
    assert statuses(gateway, 2, x_key="a") == [200, 429]
    assert statuses(gateway, 2, x_key="b") == [200, 429]


# ---- keys


def test_each_key_has_its_own_budget(start: Start) -> None:
    gateway = limited(start, limit="1/1d", **HEADER_KEY)
    assert [statuses(gateway, 2, x_key=key) for key in "abc"] == [[200, 429]] * 3


def test_parts_of_a_key_do_not_run_into_each_other(start: Start) -> None:
    gateway = limited(start, limit="1/1d", key="{header.x-one}{header.x-two}")
    assert statuses(gateway, 1, x_one="ab", x_two="c") == [200]
    assert statuses(gateway, 1, x_one="a", x_two="bc") == [200]


def test_a_key_that_has_no_value_gives_way_to_the_next(start: Start) -> None:
    gateway = limited(start, limit="1/1d", key=["{header.x-key}", "{client.ip}"])
    assert statuses(gateway, 2, x_key="a") == [200, 429]
    assert statuses(gateway, 2) == [200, 429]
    assert statuses(gateway, 1, x_key="b") == [200]


def test_without_a_value_all_share_one_budget(start: Start) -> None:
    gateway = limited(start, limit="2/1d", **HEADER_KEY)
    assert statuses(gateway, 3) == [200, 200, 429]


@pytest.mark.parametrize("key", [[], ["{client.ip}"]])
def test_addresses_of_one_ipv6_network_share_a_budget(start: Start, key: list[str]) -> None:
    policies = {"rate_limit": {"limit": "1/1d", "key": key}}
    gateway = start(policies, trusted_proxies=["127.0.0.1"])
    asked = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "192.0.2.1", "192.0.2.2", "192.0.2.1"]
    found = [ask(gateway, headers=[("X-Forwarded-For", address)]).status for address in asked]
    assert found == [200, 429, 200, 200, 200, 429]


def test_a_limit_of_the_gateway_is_shared_by_its_routes_and_one_of_a_route_is_not(start: Start) -> None:
    own = {"paths": ["/own"], "respond": {"status": 204}, "policies": {"rate_limit": {"limit": "1/1d"}}}
    routes = [{"name": name, **own, "paths": [f"/own-{name}"]} for name in ("one", "two")]
    gateway = start({"rate_limit": {"limit": "3/1d"}}, routes=routes)
    targets = ["/", "/a", "/own-one", "/own-two", "/own-one", "/", "/a"]
    assert [ask(gateway, target=target).status for target in targets] == [200, 200, 204, 204, 429, 200, 429]


# ---- tiers and costs


def test_a_tier_has_a_budget_of_its_own(start: Start) -> None:
    tiers = {"starter": "2/1d", "business": {"requests": 3, "window": "1d"}, "enterprise": "unlimited"}
    gateway = limited(start, limit="1/1d", tier="{header.x-plan}", tiers=tiers)
    assert statuses(gateway, 2) == [200, 429]
    assert statuses(gateway, 2, x_plan="free") == [429, 429]
    assert statuses(gateway, 3, x_plan="starter") == [200, 200, 429]
    assert statuses(gateway, 4, x_plan="business") == [200, 200, 200, 429]
    assert statuses(gateway, 5, x_plan="enterprise") == [200] * 5
    assert ask(gateway, headers=[("x-plan", "enterprise")]).all("ratelimit") == []


def test_a_bare_number_of_a_tier_is_in_the_time_of_the_limit(start: Start) -> None:
    gateway = limited(start, limit="1/1d", tier="{header.x-plan}", tiers={"starter": 2})
    assert ask(gateway, headers=[("x-plan", "starter")]).one("ratelimit-policy") == '"default";q=2;w=86400'


def test_a_request_may_cost_more_than_one(start: Start) -> None:
    gateway = limited(start, limit="10/1d", cost=4)
    assert statuses(gateway, 4) == [200, 200, 429, 429]


@pytest.mark.parametrize(
    ("cost", "left"),
    [
        ("3", 7),
        ("1", 9),
        ("0", 9),
        ("-5", 9),
        ("many", 9),
        ("", 9),
        ("1e3", 9),
        ("10", 0),
        ("99999999999999999999", 10),
    ],
)
def test_a_cost_that_comes_with_the_request_is_at_least_one(start: Start, cost: str, left: int) -> None:
    gateway = limited(start, limit="10/1d", cost="{header.x-cost}")
    answer = ask(gateway, headers=[("x-cost", cost)])
    assert f";r={left};" in answer.one("ratelimit")


def test_what_costs_more_than_the_budget_is_not_told_to_come_back(start: Start) -> None:
    gateway = limited(start, limit="10/1d", cost="{header.x-cost}")
    answer = ask(gateway, headers=[("x-cost", "11")])
    assert (answer.status, answer.all("retry-after")) == (429, [])
    assert statuses(gateway, 1, x_cost="10") == [200]


# ---- what counts


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("count", "charged", "free"),
    [
        ("success", [200, 302], [404, 503]),
        ("errors", [401, 503], [200, 206]),
        ({"status": [401, "403-404"]}, [401, 403, 404], [200, 402, 500]),
        ({"status": "2xx"}, [200], [301, 500]),
    ],
)
def test_only_answers_that_count_are_charged(
    start: Start, algorithm: str, count: Any, charged: Sequence[int], free: Sequence[int]
) -> None:
    gateway = limited(start, limit=f"{len(charged)}/1d", algorithm=algorithm, count=count)
    for status in [*free, *charged]:
        assert ask(gateway, target=f"/?status={status}").status == status
    assert ask(gateway).status == 429


@pytest.mark.parametrize("policy", ["rate_limit", "quota"])
def test_who_leaves_before_the_answer_is_charged(gateway: StartGateway, upstream: StartUpstream, policy: str) -> None:
    slow = upstream().script(hang_before_head)
    limit = {"limit": "1/1d" if policy == "rate_limit" else "1/day", "count": "success"}
    route = {"name": "all", "paths": ["/"], "service": "slow", "policies": {policy: limit}}
    running = gateway({"services": [{"name": "slow", "url": slow.url}], "routes": [route]}, workers=1)
    with running.raw() as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        slow.wait_for_requests(1)
    slow.wait_for_closed(1)
    assert running.get("/").status == 429


def test_what_is_given_back_is_told_at_once(start: Start) -> None:
    gateway = limited(start, limit="5/1d", count="errors")
    assert ask(gateway).one("ratelimit").startswith('"default";r=5;')
    assert ask(gateway, target="/?status=404").one("ratelimit").startswith('"default";r=4;')


def test_the_client_does_not_pay_for_a_service_that_fails(start: Start) -> None:
    gateway = limited(start, limit="1/1d", refund_failures=True)
    assert statuses(gateway, 3, "/down") == [502] * 3
    assert statuses(gateway, 2, "/?status=503") == [503] * 2
    assert statuses(gateway, 1, "/?status=404") == [404]
    assert statuses(gateway, 1) == [429]
    assert decisions(gateway) == {"allowed": 6, "refunded": 5, "refused": 1}


# ---- shadow


def test_a_shadow_counts_and_refuses_nothing(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    limit = {"limit": "2/1d", "mode": "shadow"}
    gateway = start({"rate_limit": limit}, access_log={"file": str(log)}, workers=1)
    assert statuses(gateway, 4) == [200] * 4
    assert ask(gateway).all("ratelimit") == []
    assert decisions(gateway) == {"allowed": 2, "shadow_refused": 3}
    gateway.stop()
    rules = [json.loads(line).get("rule") for line in log.read_text().splitlines()]
    assert rules == [None, None, *["shadow:default"] * 3]


# ---- reload


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_counts_stay_over_a_reload(start: Start, algorithm: str) -> None:
    limit = {"limit": "3/1d", "algorithm": algorithm}
    gateway = start({"rate_limit": limit})
    assert statuses(gateway, 2) == [200, 200]
    gateway.reload({"rate_limit": {**limit, "headers": False}})
    assert statuses(gateway, 2) == [200, 429]


def test_a_limit_that_is_raised_keeps_what_was_used(start: Start) -> None:
    gateway = limited(start, limit="2/1d")
    assert statuses(gateway, 3) == [200, 200, 429]
    gateway.reload({"rate_limit": {"limit": "3/1d"}})
    assert statuses(gateway, 2) == [200, 429]
    gateway.reload({"rate_limit": {"limit": "1/1d"}})
    assert statuses(gateway, 1) == [429]


def test_a_limit_that_means_something_else_begins_anew(start: Start) -> None:
    gateway = limited(start, limit="1/1d")
    assert statuses(gateway, 2) == [200, 429]
    gateway.reload({"rate_limit": {"limit": "1/1d", "algorithm": "token_bucket"}})
    assert statuses(gateway, 2) == [200, 429]


# ---- many keys


def test_a_flood_of_keys_is_bounded_and_counted(start: Start) -> None:
    gateway = limited(start, limit="1/1d", **HEADER_KEY)
    for number in range(50):
        assert statuses(gateway, 1, x_key=str(number)) == [200]
    assert "\ntidegate_limit_keys 50\n" in gateway.metrics()[1]
    assert "\ntidegate_limit_evictions_total 0\n" in gateway.metrics()[1]


# ---- the page


def test_the_example_of_its_page_does_what_it_says(start: Start) -> None:
    text = re.search(r"## Example\n.*?```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert text is not None
    routes = yaml.safe_load(text[1])["routes"]
    gateway = start({}, routes=[{**route, "service": "echo"} for route in routes])
    first = ask(gateway, target="/orders")
    assert first.one("ratelimit-policy") == '"burst";q=50;w=3, "minute";q=300;w=60'
    assert statuses(gateway, 5, "/login?status=200") == [200] * 5
    assert statuses(gateway, 6, "/login?status=401") == [401] * 5 + [429]
