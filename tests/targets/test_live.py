"""Targets that change while the gateway runs: from Python, and by a file."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from tidegate import ConfigError, Gateway, Route, Service, Target, Upstream
from tidegate.serve.services import RunningServices

from tests.conftest import StartGateway
from tests.harness import RunningGateway
from tests.harness.poll import eventually
from tests.http2.service import service
from tests.targets.conftest import StartTargets, document, reached


def services(running: RunningGateway) -> RunningServices:
    return RunningServices(running.server)


def test_targets_that_are_set_are_live_at_once(gateway: StartGateway, targets: StartTargets) -> None:
    first, second, third = targets(3)
    running = gateway(document({"targets": [{"address": first.address}]}), workers=2)
    service = services(running)["s"]
    assert service.targets == [Target(address=first.address)]
    began = time.monotonic()
    service.targets = [second.address, {"address": third.address, "weight": 3}]
    took = time.monotonic() - began
    assert reached(running, 8) == {second.address: 2, third.address: 6}
    assert took < 0.05
    service.reset()
    assert reached(running, 4) == {first.address: 4}


def test_requests_on_targets_that_go_are_finished(gateway: StartGateway, targets: StartTargets) -> None:
    old, new = targets(2)
    running = gateway(document({"targets": [{"address": old.address}]}))
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(running.get("/slow").text))
    slow.start()
    assert old.started.wait(20)
    services(running)["s"].targets = [new.address]
    assert reached(running, 4) == {new.address: 4}
    old.go_on.set()
    slow.join(20)
    assert answers == [old.address]


def test_targets_that_stay_keep_their_connections(gateway: StartGateway, targets: StartTargets) -> None:
    stays, comes = targets(2)
    running = gateway(document({"targets": [{"address": stays.address}]}))
    reached(running, 3)
    services(running)["s"].targets = [stays.address, comes.address]
    reached(running, 6)
    assert (stays.connections, comes.connections) == (1, 1)


def test_bad_targets_change_nothing(gateway: StartGateway, targets: StartTargets) -> None:
    (target,) = targets(1)
    running = gateway(document({"targets": [{"address": target.address}]}))
    service = services(running)["s"]
    with pytest.raises(ConfigError) as raised:
        service.targets = ["nonsense:port", {"address": "a", "wait": 1}]
    assert "services['s'].targets[1].wait" in str(raised.value)
    with pytest.raises(ConfigError, match="the target `a:80` is already there"):
        service.targets = ["a", "a:80"]
    assert service.targets == [Target(address=target.address)]
    assert running.get("/").status == 200
    with pytest.raises(KeyError):
        services(running)["other"]


def test_a_service_without_targets_answers_503_at_once(gateway: StartGateway, targets: StartTargets) -> None:
    (target,) = targets(1)
    running = gateway(document({"targets": [{"address": target.address}]}))
    services(running)["s"].targets = []
    answer = running.get("/")
    assert (answer.status, answer.code) == (503, "no_target")


def test_what_is_set_outlives_a_reload_that_says_nothing_else(gateway: StartGateway, targets: StartTargets) -> None:
    first, second, third = targets(3)
    upstream = {"targets": [{"address": first.address}]}
    running = gateway(document(upstream))
    services(running)["s"].targets = [second.address]
    running.reload(document(upstream, retries=2))
    assert reached(running, 3) == {second.address: 3}
    running.reload(document({"targets": [{"address": third.address}]}))
    assert reached(running, 3) == {third.address: 3}


async def _serve_and_set(first: str, second: str) -> list[str]:
    import urllib.request

    service = Service(name="s", upstream=Upstream(targets=[Target(address=first)]))
    gateway = Gateway(services=[service], routes=[Route(name="r", paths=["/"], service="s")])
    async with gateway.serve() as running:
        import asyncio

        def get() -> str:
            with urllib.request.urlopen(running.url) as answer:
                return str(answer.read().decode())

        before = await asyncio.to_thread(get)
        running.services["s"].targets = [Target(address=second)]
        assert list(running.services) == ["s"]
        return [before, await asyncio.to_thread(get)]


def test_a_gateway_in_python_sets_targets_of_its_services(targets: StartTargets) -> None:
    import asyncio

    first, second = targets(2)
    assert asyncio.run(_serve_and_set(first.address, second.address)) == [first.address, second.address]


def test_a_file_of_targets_is_followed(gateway: StartGateway, targets: StartTargets, tmp_path: Path) -> None:
    written, first, second = targets(3)
    file = tmp_path / "targets.yaml"
    file.write_text(f"- address: {first.address}\n  weight: 2\n")
    running = gateway(document({"targets": [{"address": written.address}], "targets_file": str(file)}))
    assert reached(running, 6) == {written.address: 2, first.address: 4}
    file.write_text(json.dumps({"targets": [second.address]}))
    eventually(lambda: reached(running, 4) == {written.address: 2, second.address: 2})


BAD = [
    "- [",
    "5",
    "- address: a\n- address: a\n",
    "- adress: a\n",
    "- address: 'a b'\n",
    "- {address: a, weight: -1}\n",
]


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_of_targets_changes_nothing_and_is_logged(
    gateway: StartGateway, targets: StartTargets, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    first, second = targets(2)
    file = tmp_path / "targets.yaml"
    file.write_text(f"- {first.address}\n")
    running = gateway(document({"targets_file": str(file)}))
    assert reached(running, 2) == {first.address: 2}
    file.write_text(text)
    eventually(lambda: any("targets file refused" in record.message for record in caplog.records))
    assert reached(running, 2) == {first.address: 2}
    file.write_text(f"- {second.address}\n")
    eventually(lambda: reached(running, 2) == {second.address: 2})


def test_a_file_that_goes_keeps_the_targets(
    gateway: StartGateway, targets: StartTargets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (target,) = targets(1)
    file = tmp_path / "targets.yaml"
    file.write_text(f"- {target.address}\n")
    running = gateway(document({"targets_file": str(file)}))
    file.unlink()
    eventually(lambda: any("cannot read it" in record.message for record in caplog.records))
    assert reached(running, 2) == {target.address: 2}


def test_a_document_with_a_bad_file_of_targets_is_refused(gateway: StartGateway, tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text("- address: a\n  wait: 3\n")
    with pytest.raises(ConfigError, match=r"targets_file: .*`:2: \[0\].wait: unknown key"):
        gateway(document({"targets_file": str(file)}))


def test_http2_connections_to_targets_that_go_are_ended(gateway: StartGateway) -> None:
    with (
        service(lambda asked: asked.answer(200, b"old")) as old,
        service(lambda asked: asked.answer(200, b"new")) as new,
    ):
        running = gateway(document({"targets": [{"address": f"127.0.0.1:{old.port}"}]}, protocol="h2"))
        assert running.get("/").text == "old"
        services(running)["s"].targets = [f"127.0.0.1:{new.port}"]
        assert running.get("/").text == "new"
        running.advance(2)
        eventually(lambda: old.connections[0].socket.fileno() == -1, "the end of the connection")
        assert running.get("/").text == "new"
        assert len(new.connections) == 1
