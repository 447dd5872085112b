"""`plugins`: hooks of the user's, for those routes that have them and for nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict
from tidegate import (
    Gateway,
    Outcome,
    PluginRequest,
    PluginResponse,
    Plugins,
    PluginUse,
    Policies,
    Respond,
    Response,
    Route,
)
from tidegate.cli.main import main

from tests.conftest import StartGateway
from tests.echo import Start, ask
from tests.harness import FakeUpstream, eventually
from tests.policies.documents import refusal

HERE = __name__


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


SEEN: list[Any] = []


def use(name: str, **options: Any) -> dict[str, Any]:
    return {"plugins": {"list": [{"use": f"{HERE}:{name}", **options}]}}


class Mark:
    """Marks every request."""

    name: ClassVar[str] = "mark"

    class Config(BaseModel):
        model_config = ConfigDict(extra="forbid")

        header: str = "x-mark"
        value: str = "seen"

    def __init__(self, config: Config) -> None:
        self.config = config

    def on_request(self, request: PluginRequest) -> None:
        assert self.config.header not in request.headers
        request.headers[self.config.header] = self.config.value
        assert request.headers[self.config.header.upper()] == self.config.value
        request.headers.add("x-many", "1")
        request.headers.add("x-many", "2")
        request.headers.remove("x-gone")
        assert request.headers.get_all("x-many")[-2:] == ["1", "2"]


class Around:
    async def on_response(self, request: PluginRequest, response: PluginResponse) -> None:
        response.headers["x-saw"] = f"{request.path} {response.status} {response.headers.get('server')}"
        response.headers.remove("server")
        response.status = 203

    async def on_complete(self, request: PluginRequest, outcome: Outcome) -> None:
        SEEN.append((request.path, outcome.status, outcome.code, outcome.duration > 0))


class Refuses:
    async def on_request(self, request: PluginRequest) -> Response:
        await asyncio.sleep(0)
        return Response(451, {"path": request.path}, {"x-why": "law"})


class Breaks:
    def on_request(self, request: PluginRequest) -> None:
        raise RuntimeError("secret detail")

    def on_response(self, request: PluginRequest, response: PluginResponse) -> None:
        response.headers["x-evil"] = "a\r\nb: c"


class Hangs:
    async def on_request(self, request: PluginRequest) -> None:
        SEEN.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            SEEN.append("cancelled")
            raise


class Calls:
    async def on_request(self, request: PluginRequest) -> None:
        answer = await request.call("echo", "GET", "/asked")
        request.headers["x-answered"] = str(answer.status)


class Nothing:
    pass


class Unwilling:
    def __init__(self) -> None:
        raise RuntimeError("not today")

    def on_request(self, request: PluginRequest) -> None: ...


def test_a_request_is_changed_before_the_service_sees_it(start: Start) -> None:
    answer = ask(start(use("Mark", config={"value": "yes"})), headers=[("X-Gone", "1"), ("x-many", "0")])
    assert answer.echo.all("x-mark") == ["yes"]
    assert answer.echo.all("x-many") == ["0", "1", "2"]
    assert answer.echo.all("x-gone") == []


def test_an_answer_is_changed_and_its_end_is_told(start: Start) -> None:
    gateway = start(use("Around"))
    answer = ask(gateway, target="/fields")
    assert (answer.status, answer.one("x-saw"), answer.all("server")) == (203, "/fields 200 echo", [])
    eventually(lambda: SEEN == [("/fields", 203, None, True)])


def test_answers_of_the_gateway_s_own_actions_are_shown_and_refusals_are_not(start: Start) -> None:
    route = {"name": "fixed", "paths": ["/fixed"], "respond": {"body": "hi"}}
    gateway = start(use("Around"), routes=[route])
    assert ask(gateway, target="/fixed").one("x-saw") == "/fixed 200 None"
    failed = ask(gateway, target="/down")
    assert (failed.status, failed.all("x-saw")) == (502, [])
    eventually(lambda: ("/down", 502, "upstream_connect_failed", True) in SEEN)


def test_a_hook_may_answer_itself(start: Start, echo_service: FakeUpstream) -> None:
    answer = ask(start(use("Refuses")), target="/a")
    assert (answer.status, answer.json(), answer.one("x-why")) == (451, {"path": "/a"}, "law")
    assert echo_service.requests == []


def test_a_hook_that_fails_refuses_unless_it_is_open(start: Start, echo_service: FakeUpstream) -> None:
    answer = ask(start(use("Breaks")))
    assert (answer.status, answer.json()["code"]) == (500, "handler_failed")
    assert b"secret" not in answer.body
    assert echo_service.requests == []
    opened = ask(start(use("Breaks", on_error="open")))
    assert (opened.status, opened.all("x-evil"), opened.all("b")) == (200, [], [])


def test_a_hook_that_hangs_has_its_time(start: Start) -> None:
    gateway = start(use("Hangs", timeout="10s"))
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, gateway)
        eventually(lambda: SEEN == ["began"])
        gateway.advance(11)
        assert asked.result().json()["code"] == "handler_failed"
    eventually(lambda: SEEN == ["began", "cancelled"])


def test_a_client_that_leaves_cancels_the_hook(start: Start) -> None:
    gateway = start(use("Hangs", timeout="1h"))
    client = gateway.connect()
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: SEEN == ["began"])
    client.close()
    eventually(lambda: SEEN == ["began", "cancelled"])


def test_a_hook_calls_services(start: Start, echo_service: FakeUpstream) -> None:
    answer = ask(start(use("Calls")))
    assert answer.echo.all("x-answered") == ["200"]
    assert [request.target for request in echo_service.requests] == ["/asked", "/"]


def test_the_nearest_level_wins_and_off_takes_them_away(start: Start) -> None:
    routes = [
        {"name": "off", "paths": ["/off"], "service": "echo", "policies": {"plugins": "off"}},
        {"name": "own", "paths": ["/own"], "service": "echo", "policies": use("Mark", config={"header": "x-own"})},
    ]
    gateway = start(use("Mark"), routes=routes)
    names = {path: set(ask(gateway, target=path).echo.names()[0]) for path in ("/", "/off", "/own")}
    seen = {
        path: [name for name, _ in ask(gateway, target=path).echo.fields if name in ("x-mark", "x-own")]
        for path in names
    }
    assert seen == {"/": ["x-mark"], "/off": [], "/own": ["x-own"]}


def test_plugins_act_in_their_order_and_share_what_is_equal(start: Start) -> None:
    listed = [
        {"use": f"{HERE}:Mark", "config": {"header": "x-first"}},
        {"use": f"{HERE}:Mark", "config": {"header": "x-second"}},
        {"use": f"{HERE}:Refuses"},
    ]
    assert ask(start({"plugins": {"list": listed}})).status == 451
    fields = ask(start({"plugins": {"list": listed[:2]}})).echo.fields
    assert [name for name, _ in fields if name in ("x-first", "x-second")] == ["x-first", "x-second"]


def test_a_reload_has_the_new_options(start: Start) -> None:
    gateway = start(use("Mark"))
    gateway.reload(use("Mark", config={"value": "new"}))
    assert ask(gateway).echo.all("x-mark") == ["new"]


def test_many_at_once_keep_to_themselves(start: Start) -> None:
    gateway = start(use("Mark"), workers=2)
    barrier = threading.Barrier(8)

    def one(number: int) -> list[str]:
        barrier.wait()
        return ask(gateway, headers=[("x-number", str(number))]).echo.all("x-number")

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(one, range(8))) == [[str(number)] for number in range(8)]


def test_typed_python_takes_the_class(gateway: StartGateway) -> None:
    policies = Policies(plugins=Plugins(list=[PluginUse(use=Around)]))
    described = Gateway(routes=[Route(name="a", paths=["/"], respond=Respond(body="x"), policies=policies)])
    assert f"{HERE}:Around" in described.to_yaml()
    assert gateway(described).get("/").status == 203


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ({"use": f"{HERE}:Nobody"}, "has no `Nobody`"),
        ({"use": "no.such.module:Mark"}, "cannot be imported"),
        ({"use": "unheard-of"}, "no plugin is named `unheard-of`"),
        ({"use": f"{HERE}:use"}, "is not a class"),
        ({"use": f"{HERE}:Nothing"}, "has no hook"),
        ({"use": f"{HERE}:Unwilling"}, "cannot be made: RuntimeError: not today"),
        ({"use": f"{HERE}:Around", "config": {"a": 1}}, "has no options"),
        ({"use": f"{HERE}:Mark", "config": {"heder": "x"}}, "known are `header`, `value`"),
        ({"use": f"{HERE}:Mark", "config": {"header": 5}}, "config.header"),
        ({"use": 5}, "expected `module:Class`"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, plugin: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, {"plugins": {"list": [plugin]}})


def test_the_command_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "routes:\n  - name: a\n    paths: [/a]\n    respond: {}\n"
        f"    policies: {{plugins: {{list: [{{use: '{HERE}:Mark'}}]}}}}\n"
        "  - {name: b, paths: [/b], respond: {}}\n"
    )
    assert main(["plugins", str(file)]) == 0
    text = capsys.readouterr().out
    assert "Marks every request." in text
    assert "hooks: on_request" in text
    assert "config.header: str, 'x-mark'" in text
    assert "routes: a\n" in text
