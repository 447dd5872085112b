"""`forward_auth` with `body`: the service that is asked sees the body too."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tidegate import load

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Answer, Connection, FakeUpstream, RunningGateway
from tests.policies.documents import refusal

ALLOW = "HTTP/1.1 204 No Content\r\n\r\n"
JSON = {"content-type": "application/json"}


def read(connection: Connection) -> None:
    """Answers every request with its body."""
    while (request := connection.request()) is not None:
        connection.send(f"HTTP/1.1 200 OK\r\ncontent-length: {len(request.body)}\r\n\r\n".encode() + request.body)


class Scene:
    def __init__(self, gateway: RunningGateway, auth: FakeUpstream, service: FakeUpstream) -> None:
        self.gateway = gateway
        self.auth = auth
        self.service = service

    def post(self, body: bytes, **headers: str) -> Answer:
        return self.gateway.post("/orders", body, headers={**JSON, **headers})


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Any:
    def begin(policies: dict[str, Any] | None = None, **options: Any) -> Scene:
        auth, service = upstream().answer(ALLOW), upstream().script(read)
        document = {
            "services": [{"name": "service", "url": service.url}, {"name": "auth", "url": auth.url}],
            "policies": policies or {"forward_auth": {"service": "auth", "body": "8KiB", **options}},
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }
        return Scene(gateway(document), auth, service)

    return begin


@pytest.mark.parametrize("body", [b"{}", b"x" * 8192])
def test_both_services_get_the_whole_body(scene: Any, body: bytes) -> None:
    it = scene()
    answer = it.post(body)
    assert (answer.status, answer.body) == (200, body)
    asked = it.auth.last
    assert (asked.method, asked.body, asked.header("content-type")) == ("POST", body, "application/json")
    assert it.service.last.body == body


def test_a_request_without_a_body_asks_without_one(scene: Any) -> None:
    it = scene()
    assert it.gateway.get("/").status == 200
    assert (it.auth.last.method, it.auth.last.body, it.auth.last.header("content-type")) == ("POST", b"", None)


def test_a_body_in_pieces_is_waited_for(scene: Any) -> None:
    it = scene()
    with it.gateway.raw() as client:
        client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send("2\r\nab\r\n")
        assert not it.auth.requests
        client.send("1\r\nc\r\n0\r\n\r\n")
        status, _, body = client.read_answer()
        assert (status, body) == (200, b"abc")
        # The connection is good for another request.
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nz")
        assert client.read_answer()[2] == b"z"
    assert [request.body for request in it.auth.requests] == [b"abc", b"z"]


@pytest.mark.parametrize("framing", ["content-length: 9000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n2328\r\n"])
def test_a_longer_one_is_refused_before_anybody_is_asked(scene: Any, framing: str) -> None:
    it = scene()
    with it.gateway.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nhost: a\r\n{framing}", b"x" * 9000)
        status, _, body = client.read_answer()
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    assert not it.auth.requests + it.service.requests


def test_a_refusal_goes_to_the_client_and_nothing_to_the_service(scene: Any) -> None:
    it = scene()
    it.auth.answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
    answer = it.post(b"drop table")
    assert (answer.status, answer.body) == (403, b"no")
    assert not it.service.requests


def test_the_body_can_still_be_sent_again(scene: Any) -> None:
    it = scene({"forward_auth": {"service": "auth", "body": "8KiB"}, "idempotency": {}})
    answers = [it.post(b"once", **{"idempotency-key": "k1"}) for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"once")] * 2
    assert [request.body for request in it.service.requests] == [b"once"]


def test_it_is_read_only_where_no_other_credential_comes_before(scene: Any) -> None:
    it = scene({"any_of": {"api_key": {"optional": False}, "forward_auth": {"service": "auth", "body": "1KiB"}}})
    assert it.post(b"abc", **{"x-api-key": "unknown"}).body == b"abc"
    assert it.auth.last.body == b"abc"


def test_a_client_that_leaves_in_the_middle_asks_nobody(scene: Any) -> None:
    it = scene()
    with it.gateway.raw() as client:
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na")
    assert it.post(b"other").status == 200
    assert [request.body for request in it.auth.requests] == [b"other"]


def test_bodies_of_parallel_requests_are_not_mixed_up(scene: Any) -> None:
    it = scene()
    bodies = [f"body {number}".encode() * 50 for number in range(8)]
    got: dict[bytes, bytes] = {}
    threads = [threading.Thread(target=lambda body=body: got.update({body: it.post(body).body})) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert got == {body: body for body in bodies}
    assert sorted(request.body for request in it.auth.requests) == sorted(bodies)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "GET"}, "a GET has no body"),
        ({"cache": {"key": "{header.authorization}", "ttl": "1m"}}, "`body` and `cache` exclude each other"),
        ({"body": "2MiB"}, "expected a size of at most 1MiB"),
    ],
)
def test_what_does_not_go_with_it_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    policy = {"url": "http://127.0.0.1:1", "body": "8KiB", **options}
    assert message in refusal(tmp_path, {"forward_auth": policy})


def test_without_it_the_method_is_get(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    policies = {"forward_auth": {"url": "http://127.0.0.1:1"}}
    file.write_text(json.dumps({"routes": [{"name": "a", "respond": {}, "policies": policies}]}))
    assert '"method":"GET"' in load(file).plan.decode()
