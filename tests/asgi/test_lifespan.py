"""The lives of applications: before the first request, until after the last."""

from __future__ import annotations

import json

import pytest
from tidegate import ConfigError

from tests.asgi import applications
from tests.asgi.test_http import MODULE, route
from tests.conftest import StartGateway
from tests.harness import eventually


@pytest.fixture(autouse=True)
def _clean() -> None:
    applications.events.clear()


def test_an_application_lives_as_long_as_the_gateway(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("lives")]})
    assert applications.events == ["lives begins"]
    assert running.get("/lives").json() == {"name": "lives", "seen": True}
    assert "seen" not in json.dumps(applications.events)
    running.stop()
    assert applications.events == ["lives begins", "lives ends"]


def test_one_application_on_several_routes_has_one_life(gateway: StartGateway) -> None:
    other = {**route("lives"), "name": "other", "paths": ["/other"]}
    running = gateway({"routes": [route("lives"), other]})
    assert running.get("/lives").status == running.get("/other").status == 200
    running.stop()
    assert applications.events == ["lives begins", "lives ends"]


def test_a_start_that_fails_is_a_problem_of_the_document(gateway: StartGateway) -> None:
    with pytest.raises(ConfigError) as raised:
        gateway(
            f"routes:\n  - name: a\n    paths: [/]\n    app: {MODULE}:fails_to_start\n"
            f"  - name: b\n    paths: [/b]\n    app: {MODULE}:lives\n"
        )
    (problem,) = raised.value.problems
    assert problem.code == "config.app_failed"
    assert problem.message == f"the app `{MODULE}:fails_to_start` did not start: RuntimeError: no database"
    assert problem.line == 4
    assert "lives ends" in applications.events, "what had begun is ended"


def test_a_reload_starts_what_is_new_and_ends_what_is_gone(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("lives")]})
    running.reload({"routes": [route("lives"), {**route("x"), "app": f"{MODULE}:make()"}]})
    assert applications.events == ["lives begins", "made", "made begins"]
    running.reload({"routes": [{**route("x"), "app": f"{MODULE}:make()"}]})
    eventually(lambda: "lives ends" in applications.events, "the end")
    assert applications.events == ["lives begins", "made", "made begins", "lives ends"]
    running.reload({"routes": [route("lives")]})
    assert running.get("/lives").status == 200


def test_a_reload_whose_application_does_not_start_changes_nothing(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("lives")]})
    with pytest.raises(ConfigError, match="did not start"):
        running.reload({"routes": [route("fails_to_start"), route("shows")]})
    assert running.get("/lives").status == 200
    assert running.get("/shows").status == 404
    assert applications.events == ["lives begins", "fails begins"]


def test_requests_of_an_application_that_a_reload_takes_out_go_on(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("echoes"), route("lives")]})
    with running.raw() as raw:
        raw.send("POST /echoes HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        raw.read_until(b"abc")
        running.reload({"routes": [route("lives")]})
        raw.send(b"def")
        raw.read_until(b"def")


def test_the_drain_waits_for_work_after_an_answer(gateway: StartGateway) -> None:
    running = gateway({"routes": [route("works_on")]})
    assert running.get("/works_on").status == 200
    assert running.drain(5000)
    assert applications.events == ["http.disconnect", "after"]
