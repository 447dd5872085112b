"""Documents that are included: each for itself, and a broken one does not stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, Gateway, check, load
from tidegate.testing import RunningGateway, start

from tests.conftest import StartGateway, StartProcess
from tests.harness import eventually

MAIN = """\
services: [{name: shared, url: "http://shared.internal"}]
policies: {response_headers: {set: {x-from: main}}}
routes: [{name: main, paths: [/main], respond: {body: main}}]
include: %s
"""
WEB = "routes: [{name: web, paths: [/web], respond: {body: web}}]\n"
MOBILE = "routes: [{name: mobile, paths: [/mobile], respond: {body: mobile}}]\n"
BROKEN = "routes: [{name: web, paths: [/web], service: nowhere}]\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the document, and those that it includes; the document."""

    def begin(include: str = '"bffs/*.yaml"', **bffs: str) -> Path:
        (tmp_path / "bffs").mkdir(exist_ok=True)
        for name, text in bffs.items():
            (tmp_path / "bffs" / f"{name}.yaml").write_text(text)
        (tmp_path / "gateway.yaml").write_text(MAIN % include)
        return tmp_path / "gateway.yaml"

    return begin


def bodies(running: RunningGateway) -> dict[str, Any]:
    return {
        path: running.get(f"/{path}").text
        for path in ("main", "web", "mobile")
        if running.get(f"/{path}").status == 200
    }


def test_included_documents_serve_beside_the_including_one(write: Write) -> None:
    with start(write(web=WEB, mobile=MOBILE)) as gateway:
        assert bodies(gateway) == {"main": "main", "web": "web", "mobile": "mobile"}


def test_a_broken_one_is_left_out_at_a_start(write: Write) -> None:
    with start(write(web=BROKEN, mobile=MOBILE)) as gateway:
        assert bodies(gateway) == {"main": "main", "mobile": "mobile"}
        [broken] = gateway.server.loaded.broken
        assert broken.state == "left_out"
        assert broken.problems[0].message == "no service is named `nowhere`"


@pytest.mark.parametrize(
    "text",
    [
        BROKEN,
        "routes: [{name: web, paths: ['~(']}]\n",
        "routes: [{name: web, handler: 'no_such_module_here:f'}]\n",
        "routes: [{name: main, respond: {}}]\n",
        "routes: [\n",
        "admin: off\n",
        "rutes: []\n",
        "policies: {rate_limit: {limit: no}}\n",
        "policies: {jwt: {issuer: a}}\n",
    ],
)
def test_whatever_is_wrong_with_it(write: Write, text: str) -> None:
    with start(write(web=text, mobile=MOBILE)) as gateway:
        assert bodies(gateway) == {"main": "main", "mobile": "mobile"}
        assert [one.file.endswith("web.yaml") for one in gateway.server.loaded.broken] == [True]
    with pytest.raises(ConfigError):
        check(write())


def test_the_last_good_version_stays_at_a_reload(gateway: StartGateway, write: Write) -> None:
    file = write(web=WEB, mobile=MOBILE)
    running = gateway(file.with_name("gateway.yaml"))
    documents = running._around.documents(file)
    running.server.reload_from(documents)

    write(web=BROKEN, mobile=MOBILE.replace("body: mobile", "body: newer"))
    running.server.reload_from(documents)
    assert bodies(running) == {"main": "main", "web": "web", "mobile": "newer"}
    assert [one.state for one in running.server.loaded.broken] == ["kept"]
    assert 'tidegate_reloads_total{result="refused"} 1' in running.metrics()

    write(web=WEB.replace("body: web", "body: mended"))
    running.server.reload_from(documents)
    assert bodies(running)["web"] == "mended"
    assert running.server.loaded.broken == ()

    # What is broken in the including document refuses all of it.
    file.write_text(file.read_text() + "workers: none\n")
    with pytest.raises(ConfigError, match="workers"):
        running.server.reload_from(documents)
    assert bodies(running)["web"] == "mended"


def test_a_last_good_version_that_fits_no_more_refuses_the_reload(gateway: StartGateway, write: Write) -> None:
    file = write(web="routes: [{name: web, paths: [/web], service: shared}]\n")
    running = gateway(file)
    documents = running._around.documents(file)
    running.server.reload_from(documents)
    file.write_text(file.read_text().replace("name: shared", "name: renamed"))
    with pytest.raises(ConfigError, match=r"bffs/web.yaml:1  routes\[0\].service: no service is named `shared`"):
        running.server.reload_from(documents)


def test_a_reload_of_files_that_are_named_keeps_in_mind_what_is_broken(gateway: StartGateway, write: Write) -> None:
    file = write(web=BROKEN, mobile=MOBILE)
    running = gateway(file)
    documents = running._around.documents(file)
    running.server.reload_from(documents)
    running.server.reload_from(documents, document=False)
    assert [one.state for one in running.server.loaded.broken] == ["left_out"]
    assert len(running.server.loaded.included) == 2
    assert bodies(running) == {"main": "main", "mobile": "mobile"}


@pytest.mark.parametrize("newcomer", ["alpha", "zulu"])
def test_who_takes_a_name_that_is_taken_is_the_broken_one(gateway: StartGateway, write: Write, newcomer: str) -> None:
    file = write(web=WEB)
    running = gateway(file)
    documents = running._around.documents(file)
    running.server.reload_from(documents)
    write(**{newcomer: WEB.replace("body: web", "body: other")})
    running.server.reload_from(documents)
    assert bodies(running)["web"] == "web"
    assert [one.file.endswith(f"{newcomer}.yaml") for one in running.server.loaded.broken] == [True]


def test_skip_leaves_out_and_refuse_refuses(gateway: StartGateway, write: Write) -> None:
    file = write('{glob: "bffs/*.yaml", on_error: skip}', web=WEB, mobile=MOBILE)
    running = gateway(file)
    documents = running._around.documents(file)
    write('{glob: "bffs/*.yaml", on_error: skip}', web=BROKEN)
    running.server.reload_from(documents)
    assert bodies(running) == {"main": "main", "mobile": "mobile"}
    with pytest.raises(ConfigError):
        start(write('[{glob: "bffs/*.yaml", on_error: refuse}]', web=BROKEN))


def test_its_policies_are_its_own(write: Write) -> None:
    limited = "policies: {rate_limit: {limit: 1, window: 1m}, response_headers: {set: {x-from: web}}}\n"
    service = (
        "services: [{name: own, url: 'http://own.internal', policies: {response_headers: {set: {x-from: own}}}}]\n"
    )
    routes = (
        WEB + "  - {name: own, paths: [/own], service: own}\n  - {name: shared, paths: [/shared], service: shared}\n"
    )
    routes = "routes:\n  - {name: web, paths: [/web], respond: {body: web}}\n" + routes.partition("\n")[2]
    with start(write(web=limited + service + routes, mobile=MOBILE)) as gateway:
        gateway.services.own.otherwise.returns(200)
        gateway.services.shared.otherwise.returns(200)
        heard = [gateway.get(path).headers["x-from"] for path in ("/main", "/mobile", "/web", "/own")]
        assert heard == ["main", "main", "web", "own"]
        # One budget for all routes of the document.
        assert [gateway.get(path).status for path in ("/web", "/shared", "/mobile", "/mobile")] == [429, 429, 200, 200]


def test_a_service_of_one_is_not_seen_by_another(write: Write) -> None:
    service = "services: [{name: own, url: 'http://own.internal'}]\n"
    with pytest.raises(ConfigError) as refused:
        check(write(web=service, mobile="routes: [{name: mobile, service: own}]\n"))
    [problem] = refused.value.problems
    assert problem.message == "no service is named `own`"
    assert "is its own: a service for several documents belongs into the including one" in (problem.hint or "")


def test_what_is_shared_stands_in_the_including_document(write: Write) -> None:
    with pytest.raises(ConfigError) as refused:
        load(write(web="listeners: [{address: ':1'}]\ninclude: x\n"))
    assert [problem.message for problem in refused.value.problems] == [
        "`listeners` is the gateway's: a document that is included has services, routes, consumers, policies",
        "`include` is the gateway's: a document that is included has services, routes, consumers, policies",
    ]


def test_one_that_stands_in_several_globs_is_taken_once(write: Write) -> None:
    loaded = load(write('["bffs/web.yaml", {glob: "bffs/**"}, "bffs/*.yaml", "none/*.yaml"]', web=WEB, mobile=MOBILE))
    assert [route["name"] for route in json.loads(loaded.plan)["routes"]] == ["main", "web", "mobile"]


def test_a_gateway_in_python_includes_too(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(web=WEB, mobile=BROKEN).parent)
    gateway = Gateway.model_validate({"routes": [{"name": "a", "respond": {}}], "include": "bffs/*.yaml"})
    with pytest.raises(ConfigError, match="nowhere"):
        gateway.load()
    with start(gateway) as running:
        assert running.get("/web").text == "web"


def test_new_folders_are_watched(process: StartProcess, write: Write) -> None:
    file = write('"bffs/*/gateway.yaml"')
    file.write_text(f"listeners: [{{address: '127.0.0.1:0'}}]\nadmin: off\n{file.read_text()}")
    running = process(file, "--watch")
    assert running.get("/web").status == 404
    (file.parent / "bffs" / "web").mkdir()
    (file.parent / "bffs" / "web" / "gateway.yaml").write_text(WEB)
    eventually(lambda: running.get("/web").status == 200, "the new folder")
    (file.parent / "bffs" / "web" / "gateway.yaml").unlink()
    eventually(lambda: running.get("/web").status == 404, "the end of it")


def test_everybody_is_told(process: StartProcess, write: Write) -> None:
    file = write(web=WEB, mobile=BROKEN)
    file.write_text(f"listeners: [{{address: '127.0.0.1:0'}}]\nadmin: {{address: '127.0.0.1:0'}}\n{file.read_text()}")
    running = process(file, "--watch")
    running.wait_for_log("included document refused")
    assert "its routes are left out" in running.log
    ready = running.get("/readyz", "admin")
    assert ready.status == 200
    [broken] = ready.json()["documents"]
    assert (broken["file"], broken["state"]) == (f"{file.parent}/bffs/mobile.yaml", "left_out")
    listed = running.get("/documents", "admin").json()["documents"]
    assert [one["state"] for one in listed] == ["left_out", "current"]

    # A watcher sees the broken one, and new ones.
    (file.parent / "bffs" / "mobile.yaml").write_text(MOBILE)
    running.wait_for_log("reloaded reason")
    assert "documents" not in running.get("/readyz", "admin").json()
    (file.parent / "bffs" / "partner.yaml").write_text("routes: [{name: p, paths: [/partner], respond: {body: p}}]\n")
    running.wait_for_log("reloaded reason", 2)
    assert running.get("/partner").text == "p"
