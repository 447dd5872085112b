"""`idempotency`: a request that is sent twice acts once, and is answered twice."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import StartGateway, StartProcess, StartUpstream
from tests.harness import Answer, Connection, FakeUpstream, RunningGateway, eventually
from tests.harness.gateway import ask
from tests.harness.redis import RedisServer, needs_redis

CREATED = (
    "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nLocation: /orders/1\r\nSet-Cookie: s=1\r\n"
    'Content-Length: 8\r\n\r\n{"id":1}'
)

Proxy = Callable[..., RunningGateway]
KEY = {"idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


class Service:
    """A service that counts, and answers each request with its number once it may."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream.script(self._serve)
        self.may = threading.Event()
        self.status = 200
        self.body = ""
        self.may.set()

    def _serve(self, connection: Connection) -> None:
        while connection.request() is not None:
            number = len(self.upstream.requests)
            self.may.wait(20)
            body = self.body or str(number)
            connection.send(f"HTTP/1.1 {self.status} S\r\nContent-Length: {len(body)}\r\n\r\n{body}")

    @property
    def calls(self) -> int:
        return len(self.upstream.requests)


@pytest.fixture
def service(upstream: StartUpstream) -> Service:
    return Service(upstream())


class StartIdempotent:
    """Starts a gateway with the policy on its only route."""

    def __init__(self, gateway: StartGateway, service: Service) -> None:
        self._gateway, self._service = gateway, service

    def __call__(self, workers: int = 1, document: dict[str, Any] | None = None, **options: Any) -> RunningGateway:
        return self._gateway(self.document(document, **options), workers=workers)

    def document(self, more: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        policies = {"idempotency": options}
        routes = [{"name": "pay", "paths": ["/"], "service": "s", "strip_path": False, "policies": policies}]
        return {"services": [{"name": "s", "url": self._service.upstream.url}], "routes": routes, **(more or {})}


@pytest.fixture
def start(gateway: StartGateway, service: Service) -> StartIdempotent:
    return StartIdempotent(gateway, service)


def post(gateway: RunningGateway, body: bytes = b"{}", path: str = "/pay", **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post(path, body, headers={**KEY, "content-type": "application/json", **names})


def counted(gateway: RunningGateway, outcome: str) -> int:
    found = re.search(rf'^tidegate_idempotency_total\{{.*outcome="{outcome}"\}} (\d+)$', gateway.metrics(), re.M)
    return int(found[1]) if found else 0


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


# ---- one after another


def test_a_repeat_gets_the_answer_of_the_first(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().answer(CREATED)
    policies: dict[str, Any] = {"idempotency": {}}
    routes = [{"name": "pay", "paths": ["/"], "service": "s", "policies": policies}]
    running = gateway({"services": [{"name": "s", "url": service.url}], "routes": routes})
    first, second = post(running), post(running)
    assert len(service.requests) == 1
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body == b'{"id":1}'
    assert second.headers.get("location") == "/orders/1"
    assert second.headers.get("content-type") == "application/json"
    assert (first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed")) == (None, "true")
    assert (first.headers.get("set-cookie"), second.headers.get("set-cookie")) == ("s=1", None)
    assert first.headers.get("x-request-id") != second.headers.get("x-request-id")
    assert (counted(running, "ran"), counted(running, "replayed")) == (1, 1)


def test_requests_without_a_key_and_of_other_methods_pass(start: StartIdempotent, service: Service) -> None:
    gateway = start()
    bodies = [gateway.post("/", b"a").body for _ in range(2)] + [gateway.get("/", headers=KEY).body for _ in range(2)]
    assert bodies == [b"1", b"2", b"3", b"4"]


def test_a_key_with_and_without_quotes_is_the_same(start: StartIdempotent) -> None:
    gateway = start()
    answers = [post(gateway, idempotency_key=key).body for key in ("abc", '"abc"', "abc")]
    assert answers == [b"1", b"1", b"1"]


@pytest.mark.parametrize("key", ["", '"a', "a b", "a, b", "k" * 256, "é"])
def test_what_is_no_key_is_refused(start: StartIdempotent, service: Service, key: str) -> None:
    gateway = start()
    with gateway.raw() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nIdempotency-Key: {key}\r\n\r\n")
        assert client.read_answer()[0] == 400
    assert service.calls == 0


def test_two_keys_are_none(start: StartIdempotent) -> None:
    with start().raw() as client:
        lines = "Idempotency-Key: a\r\nIdempotency-Key: b\r\n"
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{lines}\r\n")
        status, _, body = client.read_answer()
        assert (status, json.loads(body)["code"]) == (400, "idempotency_key_invalid")


def test_a_key_may_be_required(start: StartIdempotent, service: Service) -> None:
    gateway = start(required=True)
    assert code(gateway.post("/", b"a")) == (400, "idempotency_key_missing")
    assert gateway.get("/").status == 200
    assert post(gateway).status == 200


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [("/pay", b"[]", {}), ("/other", b"{}", {}), ("/pay?x=1", b"{}", {}), ("/pay", b"{}", {"content_type": "a/b"})],
)
def test_another_request_with_the_key_is_refused(
    start: StartIdempotent, service: Service, path: str, body: bytes, headers: dict[str, str]
) -> None:
    gateway = start()
    assert post(gateway).status == 200
    assert code(post(gateway, body, path, **headers)) == (422, "idempotency_key_reused")
    assert post(gateway).body == b"1", "the first is still there"
    assert service.calls == 1


def test_a_body_without_a_length_is_the_same_as_with_one(start: StartIdempotent, service: Service) -> None:
    gateway = start()
    with gateway.raw() as client:
        head = "POST /pay HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        client.send(f"{head}Idempotency-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n")
        assert client.read_answer()[2] == b"1"
    assert service.upstream.last.body == b"{}"
    assert post(gateway, idempotency_key="k").body == b"1"


def test_a_client_that_waits_for_a_100_gets_one(start: StartIdempotent, service: Service) -> None:
    with start().raw() as client:
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nIdempotency-Key: k\r\n\r\n"
        )
        assert client.read_head()[0] == 100
        client.send("{}")
        assert client.read_answer()[2] == b"1"


def test_a_body_that_is_too_long_is_refused_before_anything_runs(start: StartIdempotent, service: Service) -> None:
    gateway = start(max_body=10)
    assert code(post(gateway, b"x" * 11)) == (413, "body_too_large")
    assert post(gateway, b"x" * 10).status == 200
    assert service.calls == 1


def test_a_large_body_and_answer_go_through_whole(start: StartIdempotent, service: Service) -> None:
    service.body = "y" * 700_000
    gateway = start()
    answers = [post(gateway, b"x" * 900_000).body for _ in range(2)]
    assert answers == [service.body.encode()] * 2
    assert len(service.upstream.last.body) == 900_000
    assert service.calls == 1


def test_an_answer_that_is_too_long_goes_through_and_is_not_run_again(start: StartIdempotent, service: Service) -> None:
    service.body = "y" * 100_000
    gateway = start(max_answer=1000)
    assert len(post(gateway).body) == 100_000
    assert code(post(gateway)) == (409, "idempotency_answer_not_kept")
    assert service.calls == 1


@pytest.mark.parametrize(
    ("status", "statuses", "calls"),
    [
        (404, None, 1),
        (500, None, 2),
        (503, None, 2),
        (429, None, 2),
        (500, ["2xx", "5xx"], 1),
        (404, ["2xx"], 2),
        (429, ["2xx", "429"], 1),
    ],
)
def test_which_answers_are_kept(
    start: StartIdempotent, service: Service, status: int, statuses: list[str] | None, calls: int
) -> None:
    service.status = status
    gateway = start() if statuses is None else start(statuses=statuses)
    assert [post(gateway).status for _ in range(2)] == [status, status]
    assert service.calls == calls


def test_what_the_gateway_answers_itself_is_not_kept(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().script(lambda connection: None)
    policies: Any = {"idempotency": {"statuses": ["2xx", "5xx"]}}
    routes = [{"name": "pay", "paths": ["/"], "service": "s", "policies": policies}]
    running = gateway({"services": [{"name": "s", "url": service.url, "retries": 0}], "routes": routes})
    assert post(running).status == 502

    def create(connection: Connection) -> None:
        connection.request()
        connection.send(CREATED)

    service.script(create)
    assert post(running).status == 201


def test_an_answer_is_kept_for_its_time(start: StartIdempotent) -> None:
    gateway = start(ttl="1h")
    assert post(gateway).body == b"1"
    gateway.advance(3590)
    assert post(gateway).body == b"1"
    gateway.advance(20)
    assert post(gateway).body == b"2"


def test_keys_stay_over_a_reload_that_changes_the_options(start: StartIdempotent) -> None:
    gateway = start()
    assert post(gateway).body == b"1"
    gateway.reload(start.document(ttl="2h", max_body="2MiB"))
    assert post(gateway).body == b"1"


def test_the_memory_is_bounded_and_the_oldest_go_first(start: StartIdempotent) -> None:
    gateway = start(entries=10)
    for number in range(30):
        post(gateway, idempotency_key=f"key-{number}")
    metrics = gateway.metrics()
    assert re.search(r"^tidegate_idempotency_answers 10$", metrics, re.M)
    assert re.search(r"^tidegate_idempotency_evictions_total 20$", metrics, re.M)
    assert post(gateway, idempotency_key="key-29").body == b"30"
    assert post(gateway, idempotency_key="key-0").body == b"31"


# ---- whose key


def test_keys_of_different_callers_have_nothing_to_do_with_each_other(start: StartIdempotent) -> None:
    def digest(name: str) -> str:
        return hashlib.sha256(f"secret-of-{name}-0123456789".encode()).hexdigest()

    consumers = [{"name": name, "keys": [f"sha256:{digest(name)}"]} for name in ("ada", "bob")]
    document = {"consumers": consumers, "policies": {"api_key": {}}}
    gateway = start(document=document)
    callers = [f"secret-of-{name}-0123456789" for name in ("ada", "bob", "ada", "bob")]
    assert [post(gateway, x_api_key=key).body for key in callers] == [b"1", b"2", b"1", b"2"]


def test_a_caller_whom_only_the_service_knows_never_gets_the_answer_of_another(start: StartIdempotent) -> None:
    gateway = start()
    assert post(gateway, authorization="Bearer a", cookie="s=1").body == b"1"
    assert post(gateway, authorization="Bearer b", cookie="s=1").status == 422
    assert post(gateway, authorization="Bearer a", cookie="s=2").status == 422
    assert post(gateway).status == 422
    assert post(gateway, authorization="Bearer a", cookie="s=1").body == b"1"


def test_the_document_may_say_whose_a_key_is(start: StartIdempotent) -> None:
    gateway = start(key="{cookie.session}")
    answers = [post(gateway, cookie=f"session={who}; t={number}").body for number, who in enumerate("aabb")]
    assert answers == [b"1", b"1", b"2", b"2"]


# ---- at the same time


@pytest.mark.parametrize("workers", [1, 2])
def test_of_a_hundred_equal_requests_one_runs(start: StartIdempotent, service: Service, workers: int) -> None:
    gateway = start(workers=workers)
    service.may.clear()
    with ThreadPoolExecutor(100) as threads:
        asked = [threads.submit(post, gateway) for _ in range(100)]
        eventually(lambda: counted(gateway, "in_use") == 99)
        service.may.set()
        answers = [one.result() for one in asked]
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 99}
    refused = next(answer for answer in answers if answer.status == 409)
    assert (code(refused), refused.headers.get("retry-after")) == ((409, "idempotency_key_in_use"), "1")
    assert service.calls == 1
    assert post(gateway).body == b"1"


def test_another_request_with_a_key_in_use_is_told_so(start: StartIdempotent, service: Service) -> None:
    gateway = start()
    service.may.clear()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(post, gateway)
        service.upstream.wait_for_requests()
        assert post(gateway, b"other").status == 422
        service.may.set()
        assert asked.result().status == 200


def test_a_client_that_leaves_finds_its_answer_when_it_comes_again(start: StartIdempotent, service: Service) -> None:
    gateway = start()
    service.may.clear()
    with gateway.raw() as client:
        client.send("POST /pay HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
        client.send(f"Idempotency-Key: {KEY['idempotency-key']}\r\nContent-Length: 2\r\n\r\n{{}}")
        service.upstream.wait_for_requests()
    assert post(gateway).status == 409
    service.may.set()
    answers: list[Answer] = []

    def answered() -> bool:
        answers.append(post(gateway))
        return answers[-1].status == 200

    eventually(answered)
    answer = answers[-1]
    assert (answer.body, answer.headers.get("idempotent-replayed")) == (b"1", "true")
    assert service.calls == 1


def test_a_client_that_leaves_in_its_body_holds_no_key(start: StartIdempotent, service: Service) -> None:
    gateway = start()
    with gateway.raw() as client:
        client.send(f"POST /pay HTTP/1.1\r\nHost: a\r\nIdempotency-Key: {KEY['idempotency-key']}\r\n")
        client.send("Content-Length: 2\r\n\r\n{")
    assert post(gateway).body == b"1"


# ---- many gateways


@needs_redis
def test_a_key_holds_over_all_gateways(start: StartIdempotent, service: Service, redis: RedisServer) -> None:
    first, second = (start(document={"redis": {"url": redis.url, "timeout": "5s"}}) for _ in range(2))
    assert post(first).body == b"1"
    # The answer is stored beside the traffic: for a moment another gateway may still find the key held.
    eventually(lambda: post(second).body == b"1")
    assert post(first).body == b"1"
    assert post(second, b"other").status == 422
    service.may.clear()
    refused = counted(second, "in_use")
    with ThreadPoolExecutor(20) as threads:
        pairs = [threads.submit(post, gateway, idempotency_key="k") for gateway in (first, second) for _ in range(10)]
        eventually(lambda: counted(first, "in_use") + counted(second, "in_use") == refused + 19)
        service.may.set()
        assert Counter(one.result().status for one in pairs) == {200: 1, 409: 19}
    assert service.calls == 2


@needs_redis
def test_a_request_that_fails_frees_its_key_for_all(
    start: StartIdempotent, service: Service, redis: RedisServer
) -> None:
    first, second = (start(document={"redis": {"url": redis.url, "timeout": "5s"}}) for _ in range(2))
    service.status = 500
    assert post(first).status == 500
    service.status = 200
    eventually(lambda: post(second).status == 200)


@needs_redis
def test_the_key_of_a_gateway_that_was_killed_is_free_after_its_lease(
    process: StartProcess, start: StartIdempotent, service: Service, redis: RedisServer
) -> None:
    text = f"""
listeners: [{{address: "127.0.0.1:0"}}]
admin: off
access_log: off
workers: 1
redis: {{url: "{redis.url}", timeout: 5s}}
services: [{{name: s, url: "{service.upstream.url}"}}]
routes: [{{name: pay, paths: [/], service: s, strip_path: false, policies: {{idempotency: {{lease: 1s}}}}}}]
"""
    dying = process(text)
    address = dying.address()
    service.may.clear()

    def post_to_dying() -> None:
        with pytest.raises((OSError, Exception)):
            ask(address, "POST", "/pay", body=b"{}", headers={**KEY, "content-type": "application/json"})

    thread = threading.Thread(target=post_to_dying)
    thread.start()
    service.upstream.wait_for_requests()
    other = start(document={"redis": {"url": redis.url, "timeout": "5s"}}, lease="1s")
    assert post(other).status == 409
    dying.signal(signal.SIGKILL)
    thread.join()
    service.may.set()
    eventually(lambda: post(other).status == 200)
    assert service.calls == 2


@needs_redis
def test_a_lease_is_renewed_while_its_request_runs(
    start: StartIdempotent, service: Service, redis: RedisServer
) -> None:
    gateway = start(document={"redis": {"url": redis.url, "timeout": "5s"}}, lease="300ms")
    service.may.clear()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(post, gateway)
        service.upstream.wait_for_requests()
        (key,) = [line for line in redis.call("KEYS", "*idempotency*").split(b"\r\n") if b"idempotency" in line]
        # What it has left grows only when it is renewed.
        left = [int(redis.call("PTTL", key.decode())[1:-2])]

        def renewed() -> bool:
            left.append(int(redis.call("PTTL", key.decode())[1:-2]))
            return left[-1] > left[-2]

        eventually(renewed)
        service.may.set()
        assert asked.result().status == 200


@needs_redis
@pytest.mark.parametrize(("on_failure", "status"), [("deny", 503), ("local", 200)])
def test_while_redis_is_away(
    start: StartIdempotent, service: Service, redis: RedisServer, on_failure: str, status: int
) -> None:
    gateway = start(document={"redis": {"url": redis.url}}, on_store_failure=on_failure)
    redis.kill()
    answers = [post(gateway) for _ in range(2)]
    assert [answer.status for answer in answers] == [status, status]
    assert service.calls == (1 if status == 200 else 0)
    if status == 503:
        assert code(answers[0]) == (503, "idempotency_unavailable")
    assert gateway.post("/", b"no key").status == 200


@needs_redis
def test_an_answer_that_redis_did_not_take_is_kept_by_this_gateway(
    start: StartIdempotent, service: Service, redis: RedisServer
) -> None:
    gateway = start(document={"redis": {"url": redis.url}})
    service.may.clear()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(post, gateway)
        service.upstream.wait_for_requests()
        redis.kill()
        service.may.set()
        assert asked.result().body == b"1"
    eventually(lambda: post(gateway).body == b"1")
    assert service.calls == 1


def test_callers_without_what_the_key_names_are_not_one_caller(start: StartIdempotent, service: Service) -> None:
    gateway = start(key="{header.x-tenant}")
    assert post(gateway, authorization="Bearer a").body == b"1"
    assert code(post(gateway, authorization="Bearer b")) == (422, "idempotency_key_reused")
    assert post(gateway, authorization="Bearer a").body == b"1"
    assert post(gateway, x_tenant="t", authorization="Bearer a").body == b"2"
    assert post(gateway, x_tenant="t", authorization="Bearer b").body == b"2"
