"""`canary`: it advances while all is well, and goes back by itself when it is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, RunningGateway, eventually
from tests.harness.gateway import ask

FINE = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
BAD = "HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\n"


class Scene:
    """A gateway before an old and a new version."""

    def __init__(self, gateway: StartGateway, upstream: StartUpstream) -> None:
        self._start = gateway
        self.old = upstream().answer(f"{FINE}old")
        self.new = upstream().answer(f"{FINE}new")
        self.gateway: RunningGateway

    def document(self, **canary: Any) -> dict[str, Any]:
        canary = {
            "service": "new",
            "steps": [10, 50, 100],
            "interval": "1m",
            "minimum_requests": 20,
            "max_latency_ratio": "off",
            "header": "x-side",
            "believe": "anyone",
            **canary,
        }
        return {
            "admin": {"address": "127.0.0.1:0"},
            "services": [{"name": "old", "url": self.old.url}, {"name": "new", "url": self.new.url}],
            "routes": [{"name": "r", "paths": ["/"], "service": "old", "canary": canary}],
        }

    def start(self, workers: int = 1, **canary: Any) -> RunningGateway:
        self.gateway = self._start(self.document(**canary), workers=workers)
        return self.gateway

    def traffic(self, old: int = 30, new: int = 30) -> None:
        """Requests for each side, whatever its share."""
        with self.gateway.raw() as client:
            for side, count in (("old", old), ("new", new)):
                for _ in range(count):
                    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nX-Side: {side}\r\n\r\n")
                    client.read_answer()
        eventually(lambda: self.report["requests"][1] >= old)

    @property
    def report(self) -> dict[str, Any]:
        (report,) = self.gateway.server.canaries()
        return report

    def is_at(self, phase: str, step: int, share: int) -> None:
        eventually(
            lambda: (self.report["phase"], self.report["step"], self.report["share"]) == (phase, step, share / 10_000)
        )

    def share(self, count: int = 200) -> float:
        """Of the requests that ask for no side."""
        new = 0
        with self.gateway.raw() as client:
            for _ in range(count):
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                new += client.read_answer()[2] == b"new"
        return new / count


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Scene:
    return Scene(gateway, upstream)


def test_it_advances_step_by_step_and_is_promoted(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    assert 0.02 < scene.share() < 0.2
    for step, share in ((2, 5000), (3, 10_000)):
        scene.traffic()
        gateway.advance(61)
        scene.is_at("advancing", step, share)
    scene.traffic(old=0)
    gateway.advance(61)
    scene.is_at("promoted", 3, 10_000)
    assert scene.share() == 1.0


def test_a_step_lasts_its_time_and_until_there_are_enough_requests(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    scene.traffic()
    gateway.advance(50)
    scene.is_at("advancing", 1, 1000)
    gateway.advance(11)
    scene.is_at("advancing", 2, 5000)
    gateway.advance(600)
    scene.traffic(new=10)
    gateway.advance(600)
    assert scene.report["step"] == 2
    scene.traffic(new=10)
    scene.is_at("advancing", 3, 10_000)


def test_it_goes_back_by_itself_when_it_fails_more(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    scene.new.answer(f"{BAD}new")
    scene.traffic()
    gateway.advance(2)
    scene.is_at("rolled_back", 1, 0)
    assert scene.report["reason"] == "errors"
    assert scene.share() == 0.0
    metrics = gateway.metrics()
    assert re.search(r'^tidegate_canary_share\{route="r",service="new"\} 0.0000$', metrics, re.M)
    assert re.search(r'^tidegate_canary_phase\{route="r",service="new",phase="rolled_back"\} 1$', metrics, re.M)
    assert re.search(r'^tidegate_canary_rollbacks_total\{route="r",service="new",reason="errors"\} 1$', metrics, re.M)


def test_a_version_that_is_not_there_fails_too(scene: Scene) -> None:
    document = scene.document()
    document["services"][1]["url"] = "http://127.0.0.1:1"
    scene.gateway = scene._start(document)
    scene.is_at("advancing", 1, 1000)
    scene.traffic()
    scene.gateway.advance(2)
    scene.is_at("rolled_back", 1, 0)


def test_an_outage_of_both_is_not_its_fault(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    for service in (scene.old, scene.new):
        service.answer(f"{BAD}bad")
    scene.traffic()
    gateway.advance(61)
    scene.is_at("advancing", 2, 5000)


def test_it_goes_back_when_it_is_slower(scene: Scene) -> None:
    gateway = scene.start(max_latency_ratio=2)
    scene.is_at("advancing", 1, 1000)

    def slow(connection: Connection) -> None:
        while connection.request() is not None:
            gateway.advance(30)  # the engine's clock, by which it measures
            connection.send(f"{FINE}new")

    scene.new.script(slow)
    scene.traffic()
    scene.is_at("rolled_back", 1, 0)
    assert scene.report["reason"] == "latency"


def test_it_goes_on_over_a_reload_that_changes_its_bounds(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    scene.traffic()
    gateway.advance(61)
    scene.is_at("advancing", 2, 5000)
    gateway.reload(scene.document(steps=[10, 60, 100], interval="2m"))
    scene.is_at("advancing", 2, 6000)
    gateway.reload(scene.document(name="again"))
    scene.is_at("advancing", 1, 1000)


def test_what_was_rolled_back_stays_so_over_a_reload_until_it_is_told(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    assert gateway.server.command_canary("r", "roll_back")
    scene.is_at("rolled_back", 1, 0)
    gateway.reload(scene.document(interval="3m"))
    scene.is_at("rolled_back", 1, 0)
    assert scene.share(50) == 0.0
    assert gateway.server.command_canary("r", "restart")
    scene.is_at("advancing", 1, 1000)


def test_people_can_hold_it_and_send_it_on(scene: Scene) -> None:
    gateway = scene.start()
    scene.is_at("advancing", 1, 1000)
    assert gateway.server.command_canary("r", "pause")
    assert not gateway.server.command_canary("r", "pause")
    scene.traffic()
    gateway.advance(120)
    scene.is_at("paused", 1, 1000)
    assert gateway.server.command_canary("r", "promote")
    scene.is_at("promoted", 1, 10_000)
    assert scene.share(50) == 1.0


def test_the_admin_listener_shows_it(scene: Scene) -> None:
    gateway = scene.start()
    assert gateway.admin is not None
    host, _, port = gateway.admin.url.removeprefix("http://").rpartition(":")
    (shown,) = json.loads(ask((host, int(port)), "GET", "/canaries").body)["canaries"]
    assert (shown["route"], shown["service"], shown["baseline"]) == ("r", "new", "old")
    assert (shown["phase"], shown["steps"]) == ("advancing", 3)


def test_a_user_who_met_the_new_version_stays_with_it_as_it_grows(scene: Scene) -> None:
    gateway = scene.start(key="{header.x-user}")
    scene.is_at("advancing", 1, 1000)

    def on_new() -> set[int]:
        return {user for user in range(60) if gateway.get("/", headers={"x-user": str(user)}).body == b"new"}

    before = on_new()
    scene.traffic()
    gateway.advance(61)
    scene.is_at("advancing", 2, 5000)
    after = on_new()
    assert before < after


@pytest.mark.parametrize(
    ("canary", "message"),
    [
        ({"steps": []}, "a canary has 1 to 100 steps"),
        ({"steps": [5, 5]}, "each step is more than the one before it"),
        ({"steps": [0, 5]}, "each step is more than the one before it"),
        ({"service": "old"}, "`old` is the service of the route"),
        ({"service": "nobody"}, "no service is named `nobody`"),
        ({"max_latency_ratio": 0.5}, "expected a number of 1 to 100"),
    ],
)
def test_what_cannot_work_is_refused(scene: Scene, canary: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        scene.start(**canary)


def test_it_stands_beside_a_service(scene: Scene) -> None:
    document = scene.document()
    del document["routes"][0]["service"]
    document["routes"][0]["respond"] = {"status": 200}
    with pytest.raises(ConfigError, match="`canary` goes with `service`, not with `respond`"):
        scene._start(document)
