"""`forward_auth`: a service is asked whether a request may pass."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import Connection, FakeUpstream, RunningGateway, eventually
from tests.harness.upstream import hang_after_head, hang_before_head, reset_before_answer
from tests.http2.service import Asked, service

ALLOW = "HTTP/1.1 204 No Content\r\n\r\n"


class Scene:
    """A gateway that asks `auth` about every request to `service`."""

    def __init__(self, gateway: RunningGateway, auth: FakeUpstream, service: FakeUpstream) -> None:
        self.gateway = gateway
        self.auth = auth
        self.service = service

    def get(self, path: str = "/orders", **headers: str) -> Any:
        return self.gateway.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def seen(self, path: str = "/orders", **headers: str) -> dict[str, list[str]]:
        """The headers that the service saw, by name."""
        answer = self.get(path, **headers)
        assert answer.status == 200, answer
        out: dict[str, list[str]] = {}
        for name, value in answer.json()["fields"]:
            out.setdefault(name.lower(), []).append(value)
        return out


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Any:
    def begin(*, workers: int = 1, policies: dict[str, Any] | None = None, **options: Any) -> Scene:
        auth, service = upstream().answer(ALLOW), upstream().script(echo_all)
        document = {
            "services": [{"name": "service", "url": service.url}, {"name": "auth", "url": auth.url, "retries": 0}],
            "policies": {"forward_auth": {"service": "auth", **options}, **(policies or {})},
            "routes": [
                {"name": "all", "paths": ["/"], "service": "service"},
                {"name": "open", "paths": ["/open"], "service": "service", "policies": {"forward_auth": "off"}},
            ],
        }
        return Scene(gateway(document, workers=workers), auth, service)

    return begin


def test_a_request_that_may_pass_reaches_the_service_with_the_headers_of_the_answer(scene: Any) -> None:
    it = scene(headers_to_service=["x-auth-user", "x-auth-roles"])
    it.auth.answer(
        "HTTP/1.1 200 OK\r\nx-auth-user: ann\r\nx-auth-roles: a\r\nx-auth-roles: b\r\nx-other: 1\r\n"
        "content-length: 0\r\n\r\n"
    )
    seen = it.seen(Authorization="Bearer abc")
    assert (seen["x-auth-user"], seen["x-auth-roles"]) == (["ann"], ["a", "b"])
    assert "x-other" not in seen
    assert "authorization" not in seen


def test_the_service_that_is_asked_sees_what_it_needs_and_no_more(scene: Any) -> None:
    it = scene(path="/verify", headers=["authorization", "cookie", "x-tenant"])
    it.get("/orders/a%2Fb?x=1", Authorization="Bearer abc", Cookie="s=1", X_Tenant="t", X_Secret="no", User_Agent="u")
    asked = it.auth.last
    assert (asked.method, asked.target) == ("GET", "/verify")
    fields = {name.lower(): value for name, value in asked.fields}
    host, port = it.gateway.address()
    assert fields.pop("x-request-id")
    assert fields.pop("traceparent").startswith("00-")
    assert fields == {
        "host": "{}:{}".format(*it.auth.address),
        "authorization": "Bearer abc",
        "cookie": "s=1",
        "x-tenant": "t",
        "x-forwarded-method": "GET",
        "x-forwarded-proto": "http",
        "x-forwarded-host": f"{host}:{port}",
        "x-forwarded-uri": "/orders/a%2Fb?x=1",
        "x-forwarded-for": "127.0.0.1",
    }


def test_what_the_gateway_says_of_the_request_is_said_once(scene: Any) -> None:
    names = ["x-forwarded-for", "x-forwarded-uri", "traceparent", "x-request-id"]
    it = scene(headers=names)
    it.get(X_Forwarded_For="6.6.6.6", X_Forwarded_Uri="/admin", X_Request_Id="mine", Traceparent="mine")
    sent = [(name, it.auth.last.header(name)) for name in names]
    assert [name for name, value in sent if value in (None, "6.6.6.6", "/admin", "mine")] == []


def test_the_body_stays_with_the_request(scene: Any) -> None:
    it = scene()
    answer = it.gateway.post("/orders", b"order", headers={"content-type": "text/plain"})
    assert answer.status == 200
    assert it.auth.last.body == b""
    assert ("x-forwarded-method", "POST") in it.auth.last.fields
    assert it.service.last.body == b"order"


@pytest.mark.parametrize("name", ["X-Auth-User", "x_auth_user", "X.Auth.User"])
def test_a_client_cannot_set_what_only_the_answer_may(scene: Any, name: str) -> None:
    it = scene(headers_to_service=["x-auth-user"])
    for path in ("/orders", "/open"):
        assert not {"x-auth-user", "x_auth_user", "x.auth.user"} & it.seen(path, **{name: "root"}).keys()


@pytest.mark.parametrize(
    ("answer", "status", "field"),
    [
        ("401 No\r\nwww-authenticate: Bearer\r\nx-internal: 1", 401, "www-authenticate"),
        ("403 No\r\nset-cookie: a=1", 403, "set-cookie"),
        ("302 Found\r\nlocation: https://login.example/", 302, "location"),
    ],
)
def test_a_refusal_goes_to_the_client_with_the_headers_that_are_allowed(
    scene: Any, answer: str, status: int, field: str
) -> None:
    it = scene()
    it.auth.answer(f"HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\nno")
    got = it.get()
    assert (got.status, got.body, field in got.headers) == (status, b"no", True)
    assert "x-internal" not in got.headers
    assert not it.service.requests


@pytest.mark.parametrize("status", [101, 300, 304, 400, 404, 500, 502, 503])
def test_any_other_answer_keeps_the_request_out(scene: Any, status: int) -> None:
    it = scene()
    it.auth.answer(f"HTTP/1.1 {status} What\r\n" + ("" if status in (101, 304) else "content-length: 0\r\n") + "\r\n")
    got = it.get()
    assert (got.status, got.code) == (503, "authentication_unavailable")
    assert not it.service.requests


HOSTILE = {
    "a giant body": "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n",
    "a body without end": "HTTP/1.1 200 OK\r\n\r\n" + "x" * 100_000,
    "a bare line feed": "HTTP/1.1 200 OK\r\nx-auth-user: a\nx-auth-roles: root\r\ncontent-length: 0\r\n\r\n",
    "a bare carriage return": "HTTP/1.1 200 OK\r\nx-auth-user: a\rb\r\ncontent-length: 0\r\n\r\n",
    "a NUL": "HTTP/1.1 200 OK\r\nx-auth-user: a\0b\r\ncontent-length: 0\r\n\r\n",
    "a head without end": "HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 1000,
    "two lengths": "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 1\r\n\r\n",
    "no HTTP": "SSH-2.0-OpenSSH_9.6\r\n",
    "a chunk that is none": "HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_answer_that_is_none_keeps_the_request_out(scene: Any, answer: str) -> None:
    it = scene(headers_to_service=["x-auth-user", "x-auth-roles"], timeout="500ms")
    it.auth.answer(answer)
    got = it.get()
    assert (got.status, got.code) == (503, "authentication_unavailable")
    assert not it.service.requests


@pytest.mark.parametrize("play", [hang_before_head, hang_after_head, reset_before_answer])
def test_a_service_that_fails_keeps_the_request_out(scene: Any, play: Any) -> None:
    it = scene(timeout="200ms")
    it.auth.script(play)
    assert it.get().code == "authentication_unavailable"


def test_a_service_that_drips_is_not_waited_for_longer_than_the_timeout(scene: Any) -> None:
    it = scene(timeout="300ms")
    stop = threading.Event()

    def drip(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not stop.wait(0.02):
            connection.send("x")

    it.auth.script(drip)
    assert it.get().code == "authentication_unavailable"
    stop.set()


def test_a_service_that_is_gone_keeps_requests_out_until_it_is_back(scene: Any) -> None:
    it = scene()
    it.auth.stop()
    assert it.get().code == "authentication_unavailable"
    assert it.get("/open").status == 200


def test_a_client_that_leaves_cancels_the_question(scene: Any) -> None:
    it = scene(timeout="20s")
    it.auth.script(hang_before_head)
    with it.gateway.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n")
        it.auth.wait_for_requests(1)
    it.auth.wait_for_closed(1)


def test_a_cookie_of_the_answer_goes_to_the_client_where_it_is_told_to(scene: Any) -> None:
    it = scene(headers_on_success=["set-cookie"])
    it.auth.answer("HTTP/1.1 200 OK\r\nset-cookie: s=2\r\ncontent-length: 0\r\n\r\n")
    assert it.get().headers["set-cookie"] == "s=2"


def test_claims_of_the_answer_can_be_referred_to(scene: Any) -> None:
    it = scene(
        claims={"sub": "x-auth-user", "tenant": "x-auth-tenant"},
        policies={"request_headers": {"set": {"x-who": "{identity.subject} of {claims.tenant} by {identity.method}"}}},
    )
    it.auth.answer("HTTP/1.1 200 OK\r\nx-auth-user: ann\r\nx-auth-tenant: shop\r\ncontent-length: 0\r\n\r\n")
    assert it.seen()["x-who"] == ["ann of shop by forward_auth"]


# ---- the cache

CACHE = {"key": ["{header.authorization}", "{request.method}", "{request.path}"], "ttl": "60s"}


def test_without_a_cache_the_service_is_asked_each_time(scene: Any) -> None:
    it = scene()
    assert [it.get(Authorization="a").status for _ in range(3)] == [200] * 3
    assert len(it.auth.requests) == 3


def test_requests_that_agree_in_the_key_share_a_decision_until_its_time_is_over(scene: Any) -> None:
    it = scene(cache=CACHE, headers_to_service=["x-auth-user"])
    it.auth.answer("HTTP/1.1 200 OK\r\nx-auth-user: ann\r\ncontent-length: 0\r\n\r\n")
    for _ in range(3):
        assert it.seen(Authorization="a")["x-auth-user"] == ["ann"]
    assert len(it.auth.requests) == 1
    for path, headers in (("/carts", {"Authorization": "a"}), ("/orders", {"Authorization": "b"})):
        it.get(path, **headers)
    assert len(it.auth.requests) == 3
    it.gateway.advance(61)
    it.get(Authorization="a")
    assert len(it.auth.requests) == 4


def test_parts_of_the_key_do_not_run_into_each_other(scene: Any) -> None:
    it = scene(cache={"key": ["{header.x-a}", "{header.x-b}"], "ttl": "60s"})
    it.get(X_A="ab", X_B="c")
    it.get(X_A="a", X_B="bc")
    assert len(it.auth.requests) == 2


def test_without_anything_to_tell_them_apart_requests_share_nothing(scene: Any) -> None:
    it = scene(cache={"key": "{header.authorization}", "ttl": "60s"})
    it.get()
    it.get()
    assert len(it.auth.requests) == 2


def test_a_refusal_is_kept_only_as_long_as_it_is_told_to(scene: Any) -> None:
    refuse = "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"
    it = scene(cache=CACHE)
    it.auth.answer(refuse)
    assert [it.get(Authorization="a").status for _ in range(2)] == [403] * 2
    assert len(it.auth.requests) == 2
    it = scene(cache={**CACHE, "negative_ttl": "5s"})
    it.auth.answer(refuse)
    assert [it.get(Authorization="a").status for _ in range(2)] == [403] * 2
    assert len(it.auth.requests) == 1
    it.gateway.advance(6)
    it.get(Authorization="a")
    assert len(it.auth.requests) == 2


def test_a_failure_is_not_kept(scene: Any) -> None:
    it = scene(cache={**CACHE, "negative_ttl": "60s"})
    it.auth.answer("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert [it.get(Authorization="a").status for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("field", ["set-cookie: s=1", "cache-control: private, No-Store"])
def test_an_answer_that_is_one_clients_own_is_not_kept(scene: Any, field: str) -> None:
    it = scene(cache=CACHE, headers_on_success=["set-cookie"])
    it.auth.answer(f"HTTP/1.1 200 OK\r\n{field}\r\ncontent-length: 0\r\n\r\n")
    it.get(Authorization="a")
    it.get(Authorization="a")
    assert len(it.auth.requests) == 2


def test_requests_that_wait_for_one_decision_ask_once_over_all_workers(scene: Any) -> None:
    it = scene(cache=CACHE, workers=2, timeout="20s")
    go = threading.Event()

    def answer(connection: Connection) -> None:
        connection.request()
        go.wait(20)
        connection.send(ALLOW)
        connection.hang()

    it.auth.script(answer)
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(it.get(Authorization="a").status)) for _ in range(8)]
    for client in clients:
        client.start()
    it.auth.wait_for_requests(1)
    # They count as open once the gateway has their heads.
    eventually(lambda: _open(it.gateway) >= 8, "eight requests under way")
    go.set()
    for client in clients:
        client.join(20)
    assert statuses == [200] * 8
    assert len(it.auth.requests) == 1


def _open(gateway: RunningGateway) -> float:
    lines = [line for line in gateway.metrics().splitlines() if line.startswith("tidegate_requests_in_flight")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_decision_outlives_a_reload_that_does_not_change_the_policy(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    auth, service = upstream().answer(ALLOW), upstream().script(echo_all)

    def document(path: str) -> dict[str, Any]:
        return {
            "services": [{"name": "service", "url": service.url}, {"name": "auth", "url": auth.url}],
            "routes": [
                {
                    "name": "all",
                    "paths": [path],
                    "service": "service",
                    "policies": {"forward_auth": {"service": "auth", "cache": {"key": "{header.x-key}", "ttl": "60s"}}},
                }
            ],
        }

    running = gateway(document("/a"))
    assert running.get("/a", headers={"x-key": "1"}).status == 200
    running.reload(document("/b"))
    assert running.get("/b", headers={"x-key": "1"}).status == 200
    assert len(auth.requests) == 1


def test_the_service_may_speak_http2(gateway: StartGateway, upstream: StartUpstream) -> None:
    def allow(asked: Asked) -> None:
        asked.answer(200, b"", ("x-auth-user", "ann"))

    behind = upstream().script(echo_all)
    with service(allow) as auth:
        document = {
            "services": [
                {"name": "service", "url": behind.url},
                {"name": "auth", "url": f"http://127.0.0.1:{auth.port}", "protocol": "h2"},
            ],
            "policies": {"forward_auth": {"service": "auth", "path": "/verify", "headers_to_service": "x-auth-user"}},
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }
        running = gateway(document)
        for _ in range(3):
            fields = [tuple(field) for field in running.get("/orders").json()["fields"]]
            assert ("x-auth-user", "ann") in fields


# ---- the document


def test_a_url_makes_a_service_of_its_own(gateway: StartGateway, upstream: StartUpstream) -> None:
    auth, service = upstream().answer(ALLOW), upstream().script(echo_all)
    policy = {"forward_auth": {"url": f"{auth.url}/check/", "path": "/{request.method}"}}
    route = {"name": "all", "paths": ["/"], "service": "service"}
    document = {"services": [{"name": "service", "url": service.url}], "routes": [{**route, "policies": policy}]}
    running = gateway(document)
    assert running.get("/").status == 200
    assert auth.last.target == "/check/GET"
    assert [name["name"] for name in json.loads(running.server.loaded.plan)["services"]] == ["service", auth.url]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "`url` is missing"),
        ({"service": "auth", "url": "http://a.example"}, "`service` and `url` exclude each other"),
        ({"url": "ftp://a.example"}, "expected a URL"),
        ({"service": "nobody"}, "no service is named `nobody`"),
        ({"service": "auth", "path": "verify"}, "a path begins with `/`"),
        ({"service": "auth", "path": "/{path.nothing}"}, "`{path.nothing}`"),
        ({"service": "auth", "headers": ["content-length"]}, "belongs to the gateway"),
        ({"service": "auth", "cache": {"key": [], "ttl": 1}}, "must not be empty"),
        ({"service": "auth", "cache": {"ttl": 1}}, "`key` is missing"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_of_the_document(
    gateway: StartGateway, upstream: StartUpstream, options: dict[str, Any], problem: str
) -> None:
    document = {
        "services": [{"name": "auth", "url": "http://127.0.0.1:9"}],
        "policies": {"forward_auth": options},
        "routes": [{"name": "all", "paths": ["/"], "service": "auth"}],
    }
    with pytest.raises(ConfigError, match=problem.replace("{", r"\{").replace("}", r"\}")):
        gateway(document)
