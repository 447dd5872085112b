"""What is answered in the place of a service that cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, Fallback, Gateway, Request, Response, Route, Service, check

from tests.conftest import StartGateway, StartUpstream
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.upstream import OK, hang_before_head, reset_before_answer

FAILS = "HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\noops"
ANSWER = {"error": "Order service temporarily unavailable", "retryAfter": 30}
FIXED = {"status": 503, "body": ANSWER}


def service(name: str, of: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"name": name, "url": of.url, "retries": 0, **more}


def document(*services: dict[str, Any], **route: Any) -> dict[str, Any]:
    return {
        "services": list(services),
        "routes": [{"name": "r", "paths": ["/r"], "service": services[0]["name"], "strip_path": False, **route}],
    }


def count(running: RunningGateway, name: str, kind: str) -> int:
    line = f'tidegate_fallbacks_total{{service="{name}",kind="{kind}"}} '
    lines = [text for text in running.metrics().splitlines() if text.startswith(line)]
    return int(lines[0].removeprefix(line)) if lines else 0


def test_a_fixed_answer_while_the_breaker_is_open(gateway: StartGateway, upstream: StartUpstream) -> None:
    orders = upstream().answer(FAILS)
    breaker = {"failure_threshold": 5, "success_threshold": 3, "timeout": "30s", "window": "60s", "fallback": FIXED}
    running = gateway(document(service("orders", orders, circuit_breaker=breaker)))
    assert [running.get("/r").status for _ in range(5)] == [500] * 5
    answer = running.get("/r")
    assert answer.status == 503
    assert answer.text == '{"error":"Order service temporarily unavailable","retryAfter":30}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "30"
    assert "x-request-id" in answer.headers, "the policies of the route act on it"
    assert len(orders.requests) == 5
    assert count(running, "orders", "fixed") == 1


def test_a_service_that_fails_or_hangs(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken, slow = upstream().script(reset_before_answer), upstream().script(hang_before_head)
    running = gateway(document(service("broken", broken, fallback={"status": 200, "body": []})))
    answer = running.get("/r")
    assert (answer.status, answer.json()) == (200, [])
    assert "retry-after" not in answer.headers
    running = gateway(document(service("slow", slow, fallback={"body": "later"}, timeout="200ms")))
    answer = running.get("/r")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (503, "later", "text/plain; charset=utf-8")


def test_only_for_what_it_is_meant(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken = upstream().script(reset_before_answer)
    running = gateway(document(service("broken", broken, fallback={**FIXED, "on": "timeout"})))
    assert running.get("/r").code in ("upstream_reset", "upstream_closed")


def test_head_has_the_head_of_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken = upstream().script(reset_before_answer)
    running = gateway(document(service("broken", broken, fallback=FIXED)))
    answer = running.request("HEAD", "/r")
    assert (answer.status, answer.body) == (503, b"")
    assert int(answer.headers["content-length"]) == len(json.dumps(ANSWER, separators=(",", ":")))


def test_the_next_request_on_the_connection_is_answered(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken = upstream().script(reset_before_answer)
    running = gateway(document(service("broken", broken, fallback=FIXED)))
    with running.raw() as client:
        for _ in range(2):
            client.send(b"POST /r HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
            status, _, body = client.read_answer()
            assert (status, json.loads(body)) == (503, ANSWER)


def test_a_status_whose_answer_is_let_go(gateway: StartGateway, upstream: StartUpstream) -> None:
    orders = upstream().answer(FAILS, OK)
    running = gateway(document(service("orders", orders, fallback={**FIXED, "on": ["5xx"]})))
    assert running.get("/r").json() == ANSWER
    assert running.get("/r").text == "ok"
    assert orders.connections == 1, "the answer that was let go is read to its end"


def test_another_service_gets_the_same_request(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken, spare = upstream().script(reset_before_answer), upstream()
    first = {**service("first", broken, fallback={"service": "spare"}), "url": f"{broken.url}/api"}
    second = {**service("spare", spare), "url": f"{spare.url}/old"}
    policies = {"request_headers": {"set": {"x-added": "by a policy"}}}
    running = gateway(document(first, second, policies=policies))
    answer = running.request("POST", "/r/7?x=1", body="hello", headers={"x-own": "1"})
    assert (answer.status, answer.text) == (200, "ok")
    request = spare.last
    assert (request.method, request.target, request.body) == ("POST", "/old/r/7?x=1", b"hello")
    assert (request.header("x-added"), request.header("x-own")) == ("by a policy", "1")
    assert request.header("host") == spare.url.removeprefix("http://")
    assert count(running, "first", "service") == 1


def test_a_fallback_that_fails_leaves_what_happened(gateway: StartGateway, upstream: StartUpstream) -> None:
    broken, orders = upstream().script(reset_before_answer), upstream().answer(FAILS)
    spare = service("spare", broken)
    running = gateway(document(service("orders", orders, fallback={"service": "spare", "on": [500]}), spare))
    answer = running.get("/r")
    assert (answer.status, answer.text) == (500, "oops")


def test_a_chain_of_fallbacks(gateway: StartGateway, upstream: StartUpstream) -> None:
    a, b = upstream().script(reset_before_answer), upstream().script(reset_before_answer)
    running = gateway(
        document(service("a", a, fallback={"service": "b"}), service("b", b, fallback={"status": 200, "body": "last"}))
    )
    assert running.get("/r").text == "last"


def test_a_function(gateway: StartGateway, upstream: StartUpstream) -> None:
    async def instead(request: Request) -> Response:
        body = await request.body()
        return Response(200, {"why": request.instead_of, "path": request.path, "body": body.decode()})

    broken = upstream().script(reset_before_answer)
    orders = Service(name="orders", url=broken.url, retries=0, fallback=Fallback(handler=instead))
    running = gateway(Gateway(services=[orders], routes=[Route(name="r", paths=["/r"], service=orders)]))
    answer = running.post("/r/1", "hello")
    assert answer.status == 200
    assert answer.json()["body"] == "hello"
    assert answer.json()["path"] == "/r/1"
    assert answer.json()["why"] in ("upstream_reset", "upstream_closed")


def test_functions_of_services_and_routes_are_told_apart(gateway: StartGateway, upstream: StartUpstream) -> None:
    async def of_service(request: Request) -> str:
        return "service"

    async def of_route(request: Request) -> str:
        return "route"

    async def action(request: Request) -> str:
        return "action"

    broken = upstream().script(reset_before_answer)
    orders = Service(name="orders", url=broken.url, retries=0, fallback=Fallback(handler=of_service))
    routes = [
        Route(name="action", paths=["/action"], handler=action),
        Route(name="own", paths=["/own"], service=orders, fallback=Fallback(handler=of_route)),
        Route(name="inherited", paths=["/inherited"], service=orders, retries=1),
        Route(name="plain", paths=["/plain"], service=orders),
    ]
    running = gateway(Gateway(services=[orders], routes=routes))
    found = [running.get(f"/{path}").text for path in ("action", "own", "inherited", "plain")]
    assert found == ["action", "route", "service", "service"]


def test_the_log_says_who_answered_and_why(gateway: StartGateway, upstream: StartUpstream, tmp_path: Path) -> None:
    broken, log = upstream().script(reset_before_answer), tmp_path / "access.log"
    running = gateway({"access_log": {"file": str(log)}, **document(service("broken", broken, fallback=FIXED))})
    running.get("/r")
    running.stop()
    (line,) = [json.loads(text) for text in log.read_text().splitlines()]
    assert line["fallback"] == "fixed"
    assert line["fallback_reason"] in ("upstream_reset", "upstream_closed")
    assert line["status"] == 503
    assert "reason" not in line


@pytest.mark.parametrize(
    ("fallbacks", "message"),
    [
        ({"a": "b", "b": "a"}, "the fallback comes back to where it began: a -> b -> a"),
        ({"a": "a"}, "the fallback comes back to where it began: a -> a"),
        ({"a": "c"}, "no service is named `c`"),
    ],
)
def test_fallbacks_that_lead_nowhere_are_refused(fallbacks: dict[str, str], message: str, tmp_path: Path) -> None:
    services: list[dict[str, Any]] = [{"name": name, "url": "http://127.0.0.1:9"} for name in ("a", "b")]
    for known in services:
        if known["name"] in fallbacks:
            known["fallback"] = {"service": fallbacks[known["name"]]}
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"services": services, "routes": []}))
    with pytest.raises(ConfigError) as refused:
        check(file)
    (problem, *_) = refused.value.problems
    assert (problem.path, problem.message) == ("services[0].fallback.service", message)


def test_a_route_must_not_come_back_to_its_own_service(tmp_path: Path) -> None:
    services = [
        {"name": "a", "url": "http://127.0.0.1:9"},
        {"name": "b", "url": "http://127.0.0.1:9", "fallback": {"service": "a"}},
    ]
    file = tmp_path / "gateway.json"
    route = {"name": "r", "paths": ["/"], "service": "a", "fallback": {"service": "b"}}
    file.write_text(json.dumps({"services": services, "routes": [route]}))
    with pytest.raises(ConfigError) as refused:
        check(file)
    assert [problem.path for problem in refused.value.problems] == ["routes[0].fallback.service"]
