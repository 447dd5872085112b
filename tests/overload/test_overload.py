"""A gateway that cannot keep up says so at once, and to those first who matter least.

How late a worker is, is told by the test: `inject_delay` lets it seem late, as a worker with too much to do is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, check

from tests.conftest import StartGateway
from tests.harness import RunningGateway, eventually
from tests.harness.gateway import Answer

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "overload.md"
LATE = 5.0
NOW = {"queue_delay": {"target": "100ms", "interval": "101ms"}}
"""Reacts soon, and not to what else this machine has to do."""


def route(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "paths": [f"/{name}"], "respond": {"status": 200, "body": name}, **options}


def document(*routes: dict[str, Any], overload: object = NOW, **more: Any) -> dict[str, Any]:
    return {"overload": overload, "routes": list(routes), **more}


def refused(answer: Answer) -> bool:
    assert answer.status in (200, 503), answer
    return answer.status == 503


def press(running: RunningGateway, path: str) -> Answer:
    """Lets the gateway be late until it refuses this."""
    running.inject_delay(LATE)

    answers: list[Answer] = []

    def found() -> bool:
        answers.append(running.get(path))
        return answers[-1].status == 503

    eventually(found, f"a refusal of {path}")
    return answers[-1]


def relieve(running: RunningGateway, path: str) -> None:
    """Lets it be in time until nobody is refused any more."""
    running.inject_delay(0)
    eventually(lambda: counted(running, "tidegate_overload_refusing_percent", priority="low") == 0)
    assert running.get(path).status == 200


def counted(running: RunningGateway, name: str, **labels: str) -> int:
    text = ",".join(f'{label}="{value}"' for label, value in labels.items())
    found = re.search(rf"^{name}{{{text}}} (\d+)$", running.metrics(), re.M)
    return int(found[1]) if found else 0


def test_a_gateway_that_is_in_time_refuses_nobody(gateway: StartGateway) -> None:
    running = gateway(
        document(route("low", priority="low"), overload={"queue_delay": {"target": "1s", "interval": "9s"}})
    )
    assert {running.get("/low").status for _ in range(50)} == {200}


def test_one_that_is_late_refuses_with_503_and_says_when_to_come_back(gateway: StartGateway) -> None:
    running = gateway(document(route("low", priority="low")))
    answer = press(running, "/low")
    assert (answer.status, answer.code) == (503, "overloaded")
    assert answer.headers["retry-after"] in ("1", "2")
    relieve(running, "/low")


def test_the_low_are_refused_before_the_normal_and_the_critical_never(gateway: StartGateway) -> None:
    names = ("low", "normal", "high", "critical")
    running = gateway(document(*(route(name, priority=name) for name in names)))
    running.inject_delay(LATE)
    first: dict[str, int] = {}

    def all_refused() -> bool:
        for name in names:
            if refused(running.get(f"/{name}")):
                first.setdefault(name, len(first))
        return "high" in first

    eventually(all_refused)
    assert first == {"low": 0, "normal": 1, "high": 2}
    assert {running.get("/critical").status for _ in range(20)} == {200}
    relieve(running, "/high")


def test_a_connection_goes_on_after_a_refusal(gateway: StartGateway) -> None:
    running = gateway(document(route("low", priority="low"), route("critical", priority="critical")))
    press(running, "/low")
    connection = HTTPConnection(*running.address())
    for path, status in (("/critical", 200), ("/critical", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"critical")
    connection.close()


KEYS = {"free": "free-tier-key-0123456789", "pro": "pro-tier-key-01234567890"}


def with_callers(tmp_path: Path, *routes: dict[str, Any], overload: object = NOW) -> dict[str, Any]:
    consumers = []
    for tier, key in KEYS.items():
        (tmp_path / tier).write_text(key)
        consumers.append({"name": f"a-{tier}", "tier": tier, "keys": [f"${{file:{tmp_path / tier}}}"]})
    policies = {"api_key": {"optional": True}}
    return document(*routes, overload=overload, consumers=consumers, policies=policies)


@pytest.fixture
def call(gateway: StartGateway, tmp_path: Path) -> Callable[..., tuple[RunningGateway, Callable[..., Answer]]]:
    def start(*routes: dict[str, Any], overload: object = NOW) -> tuple[RunningGateway, Callable[..., Answer]]:
        running = gateway(with_callers(tmp_path, *routes, overload=overload))

        def ask(path: str, tier: str | None = None) -> Answer:
            return running.get(path, headers={"x-api-key": KEYS[tier]} if tier else {})

        return running, ask

    return start


Call = Callable[..., tuple[RunningGateway, Callable[..., Answer]]]


def test_the_free_tier_is_refused_first(call: Call) -> None:
    running, ask = call(route("a"))
    running.inject_delay(LATE)
    first: list[str] = []

    def somebody() -> bool:
        for tier in ("pro", "free"):
            if not first and refused(ask("/a", tier)):
                first.append(tier)
        return bool(first)

    eventually(somebody)
    assert first == ["free"]


def test_a_route_s_own_priority_is_that_of_all_its_callers(call: Call) -> None:
    running, ask = call(route("checkout", priority="critical"), route("a"))
    running.inject_delay(LATE)
    eventually(lambda: refused(ask("/a", "free")))
    assert {ask("/checkout", "free").status for _ in range(10)} == {200}


def test_a_rule_wins_over_route_and_tier(call: Call) -> None:
    rules = [
        {"when": "request.path == '/a' && consumer.name == 'a-free'", "priority": "critical"},
        {"when": "request.headers['x-batch'] == 'yes'", "priority": "low"},
    ]
    running, ask = call(route("a"), route("b", priority="high"), overload={**NOW, "rules": rules})
    running.inject_delay(LATE)
    batch = {"x-batch": "yes"}
    eventually(lambda: refused(running.get("/b", headers=batch)))
    assert {ask("/a", "free").status for _ in range(10)} == {200}


def test_memory_that_is_too_full_refuses_too(gateway: StartGateway) -> None:
    memory = {"limit": 1}
    routes = (route("high", priority="high"), route("critical", priority="critical"))
    running = gateway(document(*routes, overload={"queue_delay": "off", "memory": memory}))
    eventually(lambda: refused(running.get("/high")))
    assert running.get("/critical").status == 200
    assert counted(running, "tidegate_overload_shed_total", priority="high", reason="memory") >= 1
    assert re.search(r"^tidegate_overload_memory_limit_bytes 1$", running.metrics(), re.M)
    # With room for a terabyte, there is room again.
    running.reload(document(*routes, overload={"queue_delay": "off", "memory": {"limit": "1024GiB"}}))
    eventually(lambda: running.get("/high").status == 200)


def test_without_overload_nothing_is_refused_however_late_it_is(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("low", priority="low")]})
    running.inject_delay(LATE)
    assert {running.get("/low").status for _ in range(50)} == {200}
    assert "tidegate_overload" not in running.metrics()


def test_the_admin_listener_always_answers(gateway: StartGateway) -> None:
    from tests.harness.gateway import ask

    running = gateway(document(route("low", priority="low"), admin={"address": "127.0.0.1:0"}))
    press(running, "/low")
    assert running.admin is not None
    host, _, port = running.admin.url.removeprefix("http://").partition(":")
    for path in ("/livez", "/readyz", "/metrics"):
        assert ask((host, int(port)), "GET", path).status == 200


def test_a_reload_that_takes_it_away_ends_it(gateway: StartGateway) -> None:
    running = gateway(document(route("low", priority="low")))
    press(running, "/low")
    running.reload({"routes": [route("low", priority="low")]})
    assert {running.get("/low").status for _ in range(20)} == {200}


def test_refusals_are_counted_by_priority_and_the_delay_is_shown(gateway: StartGateway) -> None:
    running = gateway(document(route("low", priority="low")))
    press(running, "/low")
    assert counted(running, "tidegate_overload_shed_total", priority="low", reason="delay") >= 1
    assert counted(running, "tidegate_overload_refusing_percent", priority="low") > 0
    text = running.metrics()
    bounds = dict(re.findall(r'^tidegate_overload_delay_seconds_bucket{le="([^"]+)"} (\d+)$', text, re.M))
    assert int(bounds["+Inf"]) > int(bounds["0.25"])


@pytest.mark.parametrize(
    ("overload", "problem"),
    [
        ({"queue_delay": {"target": "100ms", "interval": "50ms"}}, "overload.queue_delay.interval: must be longer"),
        ({"memory": {"begin": 90, "full": 80}}, "overload.memory.full: must be more than `begin`, which is 90"),
        (
            {"rules": [{"when": "request.nothing", "priority": "low"}]},
            "overload.rules[0].when: there is no `request.nothing`",
        ),
        ({"tiers": {"free": "urgent"}}, "overload.tiers.free"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, overload: dict[str, Any], problem: str) -> None:
    import json

    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(document(route("a"), overload=overload)))
    with pytest.raises(ConfigError) as raised:
        check(file)
    assert problem in str(raised.value)


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(example[1])
    assert check(file).plan
