"""`mirror`: another service gets copies, and no client ever notices."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, RunningGateway, eventually


def says(body: str, status: int = 200, **headers: str) -> str:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} S\r\n{lines}content-length: {len(body)}\r\n\r\n{body}"


class Scene:
    """A gateway before a service and the one that gets copies."""

    def __init__(self, gateway: StartGateway, upstream: StartUpstream) -> None:
        self._start = gateway
        self.service, self.other = upstream(), upstream()
        self.gateway: RunningGateway

    def document(self, route: dict[str, Any] | None = None, **mirror: Any) -> dict[str, Any]:
        service = {"name": "s", "url": self.service.url}
        other = {"name": "o", "url": f"{self.other.url}/base", "retries": 0}
        return {
            "services": [service, other],
            "routes": [
                {
                    "name": "r",
                    "paths": ["/"],
                    "service": "s",
                    "strip_path": False,
                    "mirror": {"service": "o", **mirror},
                    **(route or {}),
                }
            ],
        }

    def start(self, workers: int = 1, route: dict[str, Any] | None = None, **mirror: Any) -> RunningGateway:
        self.gateway = self._start(self.document(route, **mirror), workers=workers)
        return self.gateway

    def counted(self, outcome: str, what: str = "mirror") -> int:
        pattern = rf'^tidegate_{what}_total\{{route="r",outcome="{outcome}"\}} (\d+)$'
        found = re.search(pattern, self.gateway.metrics(), re.M)
        return int(found[1]) if found else 0

    def is_counted(self, outcome: str, count: int = 1, what: str = "mirror") -> None:
        eventually(lambda: self.counted(outcome, what) == count)


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Scene:
    return Scene(gateway, upstream)


def test_the_copy_is_the_request_with_a_mark(scene: Scene) -> None:
    gateway = scene.start(route={"policies": {"request_headers": {"set": {"x-user": "ada"}}}})
    assert gateway.get("/a/b?c=d", headers={"x-mine": "1"}).body == b"ok"
    (copy,) = scene.other.wait_for_requests()
    assert (copy.method, copy.target) == ("GET", "/base/a/b?c=d")
    assert (copy.header("x-mine"), copy.header("x-user"), copy.header("x-mirrored")) == ("1", "ada", "r")
    assert copy.header("x-request-id") == scene.service.last.header("x-request-id")
    assert scene.service.last.header("x-mirrored") is None
    scene.is_counted("sent")


@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_is_copied_too(scene: Scene, chunked: bool) -> None:
    with scene.start().raw() as client:
        if chunked:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            client.send("2\r\nde\r\n0\r\n\r\n")
        else:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "cde")
        assert client.read_answer()[2] == b"ok"
    (copy,) = scene.other.wait_for_requests()
    assert (copy.body, scene.service.last.body) == (b"abcde", b"abcde")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_not_copied(scene: Scene, chunked: bool) -> None:
    gateway = scene.start(body=1000)
    with gateway.raw() as client:
        if chunked:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(f"7d0\r\n{'x' * 2000}\r\n0\r\n\r\n")
        else:
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{'x' * 2000}")
        assert client.read_answer()[2] == b"ok"
    assert len(scene.service.last.body) == 2000
    scene.is_counted("too_large")
    assert scene.other.requests == []


def test_a_retry_does_not_double_the_copied_body(scene: Scene) -> None:
    tries: list[int] = []

    def flaky(connection: Connection) -> None:
        while connection.request() is not None:
            tries.append(1)
            if len(tries) == 1:
                return
            connection.send(says("ok"))

    scene.service.script(flaky)
    gateway = scene.start()
    assert gateway.request("PUT", "/", body=b"x" * 3000).status == 200
    (copy,) = scene.other.wait_for_requests()
    assert copy.body == b"x" * 3000
    assert len(tries) == 2


def test_a_share_of_the_requests_is_copied(scene: Scene) -> None:
    gateway = scene.start(rate=30)
    with gateway.raw() as client:
        for _ in range(300):
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_answer()
    eventually(lambda: 50 < scene.counted("sent") + scene.counted("dropped") < 130)


def test_only_the_methods_that_are_named_are_copied_and_no_copy_is(scene: Scene) -> None:
    gateway = scene.start(methods=["get"])
    gateway.post("/", b"x")
    gateway.get("/", headers={"x-mirrored": "elsewhere"})
    gateway.get("/last")
    (copy,) = scene.other.wait_for_requests()
    assert copy.target == "/base/last"


def test_what_a_policy_refuses_is_not_copied(scene: Scene) -> None:
    gateway = scene.start(route={"policies": {"authorize": {"methods": "POST"}}})
    assert gateway.get("/").status == 403
    assert gateway.post("/").status == 200
    assert [copy.method for copy in scene.other.wait_for_requests()] == ["POST"]


def test_a_service_that_is_gone_is_not_noticed(scene: Scene) -> None:
    document = scene.document()
    document["services"][1]["url"] = "http://127.0.0.1:1"
    scene.gateway = scene._start(document)
    assert scene.gateway.get("/").body == b"ok"
    scene.is_counted("failed")


def test_a_service_that_hangs_holds_nobody_up_and_more_copies_are_dropped(scene: Scene) -> None:
    scene.other.script(lambda connection: connection.hang())
    gateway = scene.start(most=3, timeout="1h")
    assert [gateway.get("/").status for _ in range(10)] == [200] * 10
    scene.is_counted("dropped", 7)
    gateway.advance(3601)
    scene.is_counted("failed", 3)
    assert gateway.get("/").status == 200
    assert scene.counted("dropped") == 7, "there is room again"


def test_a_copy_with_a_long_answer_is_read_and_dropped(scene: Scene) -> None:
    scene.other.answer(says("x" * 3_000_000))
    gateway = scene.start()
    for _ in range(3):
        assert gateway.get("/").body == b"ok"
    scene.is_counted("sent", 3)


def test_a_client_that_leaves_in_its_body_sends_no_copy(scene: Scene) -> None:
    with scene.start().raw() as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        eventually(lambda: scene.service.connections == 1)
    scene.is_counted("incomplete")
    assert scene.other.requests == []


def test_the_service_may_fail_and_the_copy_goes_all_the_same(scene: Scene) -> None:
    scene.service.script(lambda connection: None)
    gateway = scene.start()
    assert gateway.get("/").status == 502
    scene.other.wait_for_requests()


def test_a_split_and_a_key_of_idempotency_go_with_it(scene: Scene) -> None:
    document = scene.document(route={"policies": {"idempotency": {}}})
    document["services"].append({"name": "t", "url": scene.service.url})
    del document["routes"][0]["service"]
    document["routes"][0]["split"] = {"services": [{"service": "s"}, {"service": "t"}]}
    scene.gateway = scene._start(document)
    for _ in range(3):
        answer = scene.gateway.post("/", b"body", headers={"idempotency-key": "k"})
        assert (answer.status, answer.body) == (200, b"ok")
    (copy,) = scene.other.wait_for_requests()
    assert copy.body == b"body"
    assert len(scene.service.requests) == 1


# ---- comparing


def compared(scene: Scene, **diff: Any) -> RunningGateway:
    return scene.start(diff=diff)


def test_equal_answers_are_the_same(scene: Scene) -> None:
    scene.service.answer(says('{"a": 1, "at": 1}', content_type="application/json", date="today"))
    scene.other.answer(says('{"at":2,"a":1}', content_type="application/json", date="tomorrow"))
    assert compared(scene, ignore_fields="at").get("/").status == 200
    scene.is_counted("same", what="mirror_compared")


def test_differences_are_counted_and_written_without_a_value(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "differences.jsonl"
    secret = "hunter2"
    scene.service.answer(says(f'{{"items": [{{"price": "{secret}"}}]}}', content_type="application/json", x_a=secret))
    scene.other.answer(says('{"items": [{"price": 2}]}', 500, content_type="application/json", x_a="other"))
    gateway = compared(scene, file=str(file))
    gateway.get(f"/orders/17?token={secret}", headers={"authorization": secret})
    for part in ("status", "headers", "body"):
        scene.is_counted(part, what="mirror_compared")
    eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    assert secret not in file.read_text()
    line = json.loads(file.read_text())
    assert line["status"] == {"original": 200, "copy": 500}
    assert (line["headers"], line["body"]) == (["x-a"], ["/items/0/price"])
    assert (line["route"], line["method"], line["path"]) == ("r", "GET", "/orders/17")
    assert line["request_id"] == scene.service.last.header("x-request-id")


def test_the_answers_are_compared_as_the_services_gave_them(scene: Scene) -> None:
    scene.gateway = scene.start(diff={}, route={"policies": {"response_headers": {"set": {"x-policy": "1"}}}})
    assert scene.gateway.get("/").headers["x-policy"] == "1"
    scene.is_counted("same", what="mirror_compared")


def test_a_body_that_is_too_long_is_skipped_and_goes_through(scene: Scene) -> None:
    scene.service.answer(says("x" * 100_000))
    scene.other.answer(says("y" * 100_000))
    assert len(compared(scene, max_body="1KiB").get("/").body) == 100_000
    scene.is_counted("skipped", what="mirror_compared")


def test_a_share_of_the_differences_is_written(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "differences.jsonl"
    scene.other.answer(says("no"))
    gateway = compared(scene, file=str(file), share=0)
    gateway.get("/")
    scene.is_counted("body", what="mirror_compared")
    assert not file.exists() or not file.read_text()


def test_the_copy_may_answer_before_or_after(scene: Scene) -> None:
    may = threading.Event()

    def late(connection: Connection) -> None:
        while connection.request() is not None:
            may.wait(20)
            connection.send(says("ok"))

    gateway = compared(scene)
    for turn, service in enumerate((scene.service, scene.other), 1):
        may.clear()
        service.script(late)
        thread = threading.Thread(target=gateway.get, args=("/",))
        thread.start()
        service.wait_for_requests(turn)
        may.set()
        thread.join()
    scene.is_counted("same", 2, what="mirror_compared")


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ({"service": "nobody"}, "no service is named `nobody`"),
        ({"methods": "a b"}, "`a b` is not a method"),
        ({"diff": {"share": 5}}, "there is no `file` to write to"),
        ({"diff": {"ignore_fields": "a..b"}}, "`a..b` names no member"),
        ({"rate": 101}, "a percentage is 0 to 100"),
    ],
)
def test_what_cannot_work_is_refused(scene: Scene, mirror: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        scene.start(**mirror)


def test_it_stands_beside_a_service(scene: Scene) -> None:
    document = scene.document(route={"respond": {"status": 200}})
    del document["routes"][0]["service"]
    del document["routes"][0]["strip_path"]
    with pytest.raises(ConfigError, match="`mirror` goes with `service` or `split`, not with `respond`"):
        scene._start(document)
