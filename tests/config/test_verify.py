"""Every problem at once: those of the document with those that only the engine or an import finds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tidegate import ConfigError, Gateway, Respond, Route, Service, check, load
from tidegate.config.verify import with_all
from tidegate.serve import serve

from tests.conftest import StartGateway, StartProcess

BROKEN = """\
services:
  - {name: orders, url: "http://127.0.0.1:1", read_timeout: soon}
routes:
  - {name: regex, paths: ["~/("], service: orders}
  - {name: handler, paths: [/h], handler: "nowhere_at_all:answer"}
"""
CODES = ["config.bad_duration", "routing.bad_regex", "config.unknown_handler"]


def codes(error: ConfigError) -> list[str]:
    return [problem.code for problem in error.problems]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    return file


def test_check_tells_all(broken: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(broken)
    assert codes(caught.value) == CODES
    assert [problem.line for problem in caught.value.problems] == [2, 4, 5]


def test_check_gives_what_loaded(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("routes: [{name: a, respond: {}}]\n")
    assert check(file).plan == load(file).plan


def test_load_tells_what_the_document_shows(broken: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(broken)
    assert codes(caught.value) == CODES[:1]


def test_a_start_tells_all(process: StartProcess) -> None:
    running = process(BROKEN)
    assert running.wait() == 1
    assert [code for code in CODES if f"[{code}]" in running.log] == CODES
    assert running.log.endswith("3 problems; nothing was started\n")


def test_a_reload_tells_all_and_changes_nothing(gateway: StartGateway, broken: Path) -> None:
    running = gateway({"routes": [{"name": "a", "respond": {"body": "old"}}]})
    with pytest.raises(ConfigError) as caught:
        running.reload(broken)
    assert codes(caught.value) == CODES
    assert running.get("/").text == "old"


def test_what_the_engine_finds_is_told_beside_a_missing_handler(gateway: StartGateway) -> None:
    # The document itself is fine. Handlers are imported first, and must not hide what the engine finds.
    fine = BROKEN.replace("soon", "2s")
    running = gateway({"routes": [{"name": "a", "respond": {"body": "old"}}]})
    for refused in (lambda: gateway(fine), lambda: running.reload(fine)):
        with pytest.raises(ConfigError) as caught:
            refused()
        assert codes(caught.value) == CODES[1:]


def test_python_tells_all() -> None:
    def lost(_: object) -> str:
        return ""

    gateway = Gateway(
        services=[Service(name="a", url="nonsense")],
        routes=[
            Route(name="r", paths=["~("], service="a"),
            Route(name="s", paths=["/s", "nothing", "~["], handler=lost),
            Route(name="t", paths=["/t"], handler="nowhere_at_all:answer"),
            Route(name="u", respond=Respond(body="{path.x}"), headers={"x-a": "~["}),
        ],
    )
    expected = {
        "services[0].url": "config.bad_url",
        "routes[0].paths[0]": "routing.bad_regex",
        "routes[1].paths[1]": "config.bad_path",
        "routes[2].handler": "config.unknown_handler",
        "routes[3].headers.x-a": "routing.bad_regex",
        "routes[3].respond.body": "config.bad_reference",
    }

    async def scenario() -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            async with gateway.serve():
                raise AssertionError("it must not start")
        return caught.value

    with pytest.raises(ConfigError) as caught:
        gateway.check()
    for error in (caught.value, asyncio.run(scenario())):
        assert {problem.path: problem.code for problem in error.problems if problem.path in expected} == expected


def test_a_file_is_served_as_it_was_checked(broken: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigError) as caught:
            async with serve(broken):
                raise AssertionError("it must not start")
        assert codes(caught.value) == CODES

    asyncio.run(scenario())


def test_what_is_sound_has_no_way_to_be_served(broken: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(broken)
    assert caught.value.rest is not None
    rest = caught.value.rest()
    assert not hasattr(rest, "admin"), "it is no `Loaded`"
    assert with_all(caught.value).rest is None


def test_half_of_a_character_is_told_with_the_rest() -> None:
    routes = [Route(name="a", respond=Respond(body="\ud800")), Route(name="b", service="lost")]
    with pytest.raises(ConfigError) as caught:
        Gateway(routes=routes).check()
    assert codes(caught.value) == ["config.bad_value", "config.unknown_name"]
