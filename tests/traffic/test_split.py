"""`split`: each service gets its share, and a key its side."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Answer, RunningGateway, eventually

Weights = dict[str, int]


class Sides:
    """A gateway before services that answer with their names."""

    def __init__(self, gateway: StartGateway, upstream: StartUpstream, names: tuple[str, ...]) -> None:
        self._start = gateway
        self.services: list[dict[str, Any]] = [
            {"name": name, "url": upstream().answer(says(name)).url} for name in names
        ]

    def document(self, weights: Weights, route: dict[str, Any] | None = None, **split: Any) -> dict[str, Any]:
        services = [{"service": name, "weight": weight} for name, weight in weights.items()]
        split = {"services": services, **split}
        return {
            "services": self.services,
            "trusted_proxies": ["127.0.0.1"] if split.pop("trusted", False) else [],
            "routes": [{"name": "r", "paths": ["/"], "split": split, "strip_path": False, **(route or {})}],
        }

    def start(self, weights: Weights, workers: int = 1, **split: Any) -> RunningGateway:
        return self._start(self.document(weights, **split), workers=workers)


def says(name: str) -> str:
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}"


@pytest.fixture
def sides(gateway: StartGateway, upstream: StartUpstream) -> Sides:
    return Sides(gateway, upstream, ("a", "b", "c"))


def side(answer: Answer) -> str:
    assert answer.status == 200
    return answer.body.decode()


def drawn(gateway: RunningGateway, count: int) -> list[str]:
    """Sides of as many requests, one after another on one connection, with a key each."""
    found = []
    with gateway.raw() as client:
        for number in range(count):
            client.send(f"GET / HTTP/1.1\r\nHost: a\r\nX-User: {number}\r\n\r\n")
            found.append(client.read_answer()[2].decode())
    return found


def test_each_service_gets_its_share(sides: Sides) -> None:
    counts = Counter(drawn(sides.start({"a": 70, "b": 30}), 1000))
    assert counts["a"] + counts["b"] == 1000
    assert 240 < counts["b"] < 360


def test_the_same_key_stays_on_its_side_on_every_worker_and_over_a_reload(sides: Sides) -> None:
    gateway = sides.start({"a": 1, "b": 1}, workers=2, key="{header.x-user}")
    users = [f"user-{number}" for number in range(20)]
    first = [side(gateway.get("/", headers={"x-user": user})) for user in users]
    assert set(first) == {"a", "b"}
    for _ in range(3):
        assert [side(gateway.get("/", headers={"x-user": user})) for user in users] == first
    gateway.reload(sides.document({"a": 1, "b": 1}, key="{header.x-user}", route={"timeout": "9s"}))
    assert [side(gateway.get("/", headers={"x-user": user})) for user in users] == first


def test_when_weights_move_only_the_share_that_moved_changes(sides: Sides) -> None:
    gateway = sides.start({"a": 90, "b": 10}, key="{header.x-user}")
    before = drawn(gateway, 500)
    gateway.reload(sides.document({"a": 60, "b": 40}, key="{header.x-user}"))
    after = drawn(gateway, 500)
    moved = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert set(moved) == {("a", "b")}
    assert 100 < len(moved) < 200


def test_without_a_value_for_the_key_each_request_is_drawn_by_itself(sides: Sides) -> None:
    gateway = sides.start({"a": 1, "b": 1}, key="{header.x-nothing}")
    assert set(drawn(gateway, 50)) == {"a", "b"}


def test_of_several_keys_the_first_with_a_value_counts(sides: Sides) -> None:
    gateway = sides.start({"a": 1, "b": 1}, key=["{header.x-none}", "{client.ip}"])
    assert len(set(drawn(gateway, 30))) == 1


def test_a_service_without_weight_gets_only_what_asks_for_it(sides: Sides) -> None:
    gateway = sides.start({"a": 1, "b": 0}, header="x-side", believe="anyone")
    assert set(drawn(gateway, 50)) == {"a"}
    assert side(gateway.get("/", headers={"x-side": "b"})) == "b"
    assert side(gateway.get("/", headers={"x-side": "nobody"})) == "a"


def test_the_header_is_believed_from_trusted_proxies_only(
    sides: Sides, gateway: StartGateway, upstream: StartUpstream
) -> None:
    service = upstream()
    sides.services[0]["url"] = service.url
    weights = {"a": 1, "b": 0}
    running = sides.start(weights, header="X-Side")
    assert running.get("/", headers={"x-side": "b"}).body == b"ok"
    assert service.last.header("x-side") is None, "nor does the service behind see it"
    running.reload(sides.document(weights, header="X-Side", trusted=True))
    assert running.get("/", headers={"x-side": "b"}).body == b"b"


def test_a_cookie_may_choose_where_anyone_may(sides: Sides) -> None:
    gateway = sides.start({"a": 1, "b": 0}, cookie="side", believe="anyone")
    assert side(gateway.get("/", headers={"cookie": "x=1; side=b"})) == "b"
    assert side(gateway.get("/", headers={"cookie": "x=1; side=c"})) == "a"


def test_a_side_has_a_name_of_its_own(sides: Sides) -> None:
    services = [{"service": "a", "weight": 1}, {"service": "b", "weight": 0, "name": "next"}]
    gateway = sides.start({}, services=services, header="x-side", believe="anyone")
    assert side(gateway.get("/", headers={"x-side": "next"})) == "b"
    assert side(gateway.get("/", headers={"x-side": "b"})) == "a"


def test_policies_that_speak_to_the_service_know_which(sides: Sides, upstream: StartUpstream) -> None:
    service = upstream()
    sides.services[1]["url"] = service.url
    route = {"policies": {"request_headers": {"set": {"x-service": "{service.name}"}}}}
    sides.start({"a": 0, "b": 1}, route=route).get("/")
    assert service.last.header("x-service") == "b"


def test_metrics_and_log_say_the_side(sides: Sides, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    services = [{"service": "a", "weight": 0}, {"service": "b", "weight": 1, "name": "next"}]
    document = sides.document({}, services=services) | {"access_log": {"file": str(log)}}
    gateway = sides._start(document)
    gateway.get("/")
    counted = re.compile(r'^tidegate_requests_total\{route="r",service="(\w*)".*\} (\d+)$', re.M)
    eventually(lambda: counted.findall(gateway.metrics()) == [("b", "1")])
    gateway.stop()
    (line,) = [json.loads(line) for line in log.read_text().splitlines()]
    assert (line["service"], line["side"]) == ("b", "next")


BAD = [
    ({"services": [{"service": "a"}]}, "a split has 2 to 16 services"),
    ({"services": [{"service": "a"}, {"service": "a"}]}, "`a` is already there"),
    ({"services": [{"service": "a"}, {"service": "b", "name": "a"}]}, "`a` is already there"),
    ({"services": [{"service": "a", "weight": 0}, {"service": "b", "weight": 0}]}, "every service has the weight 0"),
    ({"services": [{"service": "a"}, {"service": "nobody"}]}, "no service is named `nobody`"),
    ({"cookie": "side"}, "a cookie comes from the client itself"),
    ({"believe": "anyone"}, "there is no `header` or `cookie` to believe"),
]


@pytest.mark.parametrize(("split", "message"), BAD)
def test_what_cannot_work_is_refused(sides: Sides, split: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        sides.start({"a": 1, "b": 1}, **split)


def test_services_with_different_policies_do_not_share_a_route(sides: Sides) -> None:
    policies: Any = {"authorize": {"roles": "admin"}}
    sides.services[0]["policies"] = sides.services[1]["policies"] = policies
    gateway = sides.start({"a": 1, "b": 1})
    assert gateway.get("/").status == 403
    del sides.services[1]["policies"]
    with pytest.raises(ConfigError, match="have different policies"):
        gateway.reload(sides.document({"a": 1, "b": 1}))


def test_a_service_that_is_switched_off_is_no_side(sides: Sides) -> None:
    sides.services[1]["enabled"] = False
    with pytest.raises(ConfigError, match="the service `b` is switched off"):
        sides.start({"a": 1, "b": 1})
