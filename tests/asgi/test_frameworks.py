"""FastAPI and Starlette inside the gateway."""

from __future__ import annotations

import pytest

from tests.asgi import frameworks
from tests.conftest import StartGateway
from tests.harness import RunningGateway, eventually


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    frameworks.events.clear()
    module = frameworks.__name__
    return gateway(
        {
            "routes": [
                {"name": "bff", "paths": ["/bff"], "app": f"{module}:bff"},
                {"name": "starlette", "paths": ["/star"], "app": f"{module}:starlette"},
                {"name": "whole", "paths": ["/hello"], "app": f"{module}:bff", "strip_path": False},
            ]
        }
    )


def test_fastapi_answers(running: RunningGateway) -> None:
    answer = running.get("/bff/hello")
    assert (answer.status, answer.json()) == (200, {"hello": "world"})
    assert running.get("/bff/blocking").json() == {"hello": "from a thread"}
    assert running.get("/hello").json() == {"hello": "world"}
    assert running.get("/bff/absent").status == 404


def test_fastapi_checks_what_it_is_given(running: RunningGateway) -> None:
    assert running.post("/bff/items", json={"name": "tea", "price": 2.5}).json() == {"total": 5.0}
    eventually(lambda: "stored tea" in frameworks.events, "the work in the background")
    assert running.post("/bff/items", json={"name": "tea"}).status == 422
    assert running.get("/bff/openapi.json").json()["servers"] == [{"url": "/bff"}]


def test_fastapi_has_its_lifespan(running: RunningGateway) -> None:
    url = f"{running.url}/bff/state"
    assert running.get("/bff/state").json() == {"pool": "of connections", "url": url, "root": "/bff"}
    running.stop()
    assert frameworks.events == ["begins", "ends"]


def test_fastapi_streams(running: RunningGateway) -> None:
    assert running.get("/bff/ticks").body == b"0;1;2;"


def test_fastapi_answers_its_own_failures(running: RunningGateway) -> None:
    answer = running.get("/bff/fails")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


def test_starlette_knows_where_it_stands(running: RunningGateway) -> None:
    answer = running.get("/star/")
    assert (answer.body, answer.headers["x-marked"]) == (b"/star/items/a b", "yes")
    assert running.get("/star").headers["location"].endswith("/star/")
    assert running.get("/star/deeper/away").headers["location"].endswith("/star/")
    assert running.post("/star/items/x", b"y" * 500_000).json() == {"name": "x", "bytes": 500_000}
