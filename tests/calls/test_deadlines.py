"""The timeouts of an attempt, the deadline over all of them, and what the service is told of it."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import first_then
from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, Raw, RunningGateway
from tests.harness.upstream import hang_after_head, hang_before_head
from tests.proxying.conftest import GET, advance_until_heard

AT_ONCE: dict[str, Any] = {"attempts": 2, "backoff": "off"}


def refusal(client: Raw) -> tuple[int, str]:
    status, _, body = client.read_answer()
    return status, json.loads(body)["code"]


@pytest.mark.parametrize(
    ("options", "code", "attempts"),
    [
        ({"try_timeout": "10s"}, "upstream_try_timeout", 1),
        ({"first_byte_timeout": "10s"}, "upstream_first_byte_timeout", 1),
        ({"read_timeout": "10s"}, "upstream_timeout", 1),
        ({"timeout": "10s"}, "timeout", 1),
        ({"timeout": "10s", "try_timeout": "20s", "first_byte_timeout": "20s"}, "timeout", 1),
    ],
)
def test_each_timeout_has_its_code(
    proxy: Proxy, upstream: StartUpstream, options: dict[str, Any], code: str, attempts: int
) -> None:
    service = upstream().script(hang_before_head)
    gateway = proxy(service, retries=0, **{"read_timeout": "1h", **options})
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        advance_until_heard(gateway, client, 10.1)
        assert refusal(client) == (504, code)
        service.wait_for_closed()
    assert len(service.requests) == attempts


@pytest.mark.parametrize(
    ("options", "on", "attempts"),
    [
        ({"try_timeout": "10s"}, None, 3),
        ({"try_timeout": "10s"}, ["timeout", "reset"], 1),
        ({"first_byte_timeout": "10s"}, None, 1),
        ({"first_byte_timeout": "10s"}, ["timeout"], 3),
        ({"read_timeout": "10s"}, ["timeout"], 3),
        ({"timeout": "25s", "try_timeout": "10s"}, None, 3),
        ({"timeout": "15s", "try_timeout": "10s"}, None, 2),
    ],
)
def test_an_attempt_that_takes_too_long_is_tried_again_within_the_deadline(
    proxy: Proxy, upstream: StartUpstream, options: dict[str, Any], on: list[str] | None, attempts: int
) -> None:
    service = upstream().script(hang_before_head)
    retries = {**AT_ONCE, **({"on": on} if on else {})}
    gateway = proxy(service, retries=retries, **{"read_timeout": "1h", **options})
    with gateway.raw() as client:
        client.send(GET)
        for count in range(1, attempts + 1):
            service.wait_for_requests(count)
            gateway.advance(10.1)
        assert refusal(client)[0] == 504
    assert len(service.requests) == attempts


def test_a_head_that_drips_does_not_buy_time(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n")
        connection.hang()

    for option in ("try_timeout", "first_byte_timeout"):
        service = upstream().script(play)
        gateway = proxy(service, retries=0, **{option: "10s"})
        with gateway.raw() as client:
            client.send(GET)
            assert client.read_head()[0] == 103
            advance_until_heard(gateway, client, 10.1)
            assert refusal(client) == (504, f"upstream_{option}")


def test_an_answer_that_has_begun_is_not_cut_off(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().script(hang_after_head)
    gateway = proxy(service, try_timeout="5s", first_byte_timeout="5s", read_timeout="20s")
    with gateway.raw() as client:
        client.send(GET)
        client.read_head()
        gateway.advance(12)
        advance_until_closed(gateway, client)


def advance_until_closed(gateway: RunningGateway, client: Raw) -> None:
    client.socket.settimeout(0.1)
    with pytest.raises(socket.timeout):
        client.socket.recv(1)
    client.socket.settimeout(5)
    advance_until_heard(gateway, client, 20.1)
    assert client.is_closed()


def grpc_request(**headers: str) -> str:
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n{fields}\r\n"


def told(gateway: RunningGateway, request: str) -> int:
    with gateway.raw() as client:
        client.send(request)
        status: int = client.read_answer()[0]
        return status


def test_a_grpc_service_is_told_what_is_left(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    told(proxy(service, timeout="20s"), grpc_request(grpc_timeout="3H"))
    value = service.last.header("grpc-timeout")
    assert value is not None
    assert value[-1] == "m"
    assert 19_000 < int(value[:-1]) <= 20_000


def test_a_callers_shorter_time_is_passed_on_though_it_is_not_believed(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    for options in ({"timeout": "20s"}, {}):
        told(proxy(service, **options), grpc_request(grpc_timeout="5S"))
        value = service.last.header("grpc-timeout")
        assert value is not None
        assert value[-1] == "m"
        assert 4_000 < int(value[:-1]) <= 5_000


def test_what_is_no_grpc_is_told_nothing(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    proxy(service, timeout="20s").get("/x")
    assert service.last.header("grpc-timeout") is None


def test_a_retry_is_told_what_is_left_by_then(proxy: Proxy, upstream: StartUpstream) -> None:
    service, _ = first_then(upstream, hang_before_head, mis.fine)
    gateway = proxy(service, timeout="30s", try_timeout="10s", retries=AT_ONCE, deadline={"header": "x-left"})
    with gateway.raw() as client:
        client.send(GET)
        service.wait_for_requests()
        gateway.advance(10.1)
        assert client.read_answer()[0] == 200
    left = [int(request.header("x-left") or 0) for request in service.requests]
    assert 29_000 < left[0] <= 30_000
    assert 15_000 < left[1] < 20_000


def test_a_header_of_a_client_never_goes_on_as_it_came(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    headers = {"X-Left": "77"}
    proxy(service, deadline={"header": "x-left", "trust": "nobody"}).get("/x", headers=headers)
    assert service.last.header("x-left") is None, "who is not believed cannot make the service fail for want of time"
    options = {"timeout": "20s", "deadline": {"header": "x-left", "trust": "nobody"}}
    proxy(service, **options).get("/x", headers=headers)
    assert int(service.last.header("x-left") or 0) > 77
    proxy(service, deadline={"header": "x-left"}).get("/x", headers={"X-Left": "soon"})
    assert service.last.header("x-left") is None


@pytest.mark.parametrize(
    "request_text", [GET.replace("\r\n\r\n", "\r\nx-left: 5000\r\n\r\n"), grpc_request(grpc_timeout="5S")]
)
@pytest.mark.parametrize(
    ("trust", "trusted", "believed"),
    [
        ("trusted_proxies", True, True),
        ("trusted_proxies", False, False),
        ("everybody", False, True),
        ("nobody", True, False),
    ],
)
def test_whose_word_is_believed(
    gateway: StartGateway, upstream: StartUpstream, request_text: str, trust: str, trusted: bool, believed: bool
) -> None:
    service = upstream().script(hang_before_head)
    running = gateway(
        {
            "trusted_proxies": ["127.0.0.0/8"] if trusted else [],
            "services": [{"name": "s", "url": service.url, "retries": 0, "read_timeout": "1h"}],
            "routes": [
                {
                    "name": "r",
                    "paths": ["/"],
                    "service": "s",
                    "timeout": "30s",
                    "deadline": {"header": "x-left", "trust": trust},
                }
            ],
        }
    )
    with running.raw() as client:
        client.send(request_text)
        service.wait_for_requests()
        if not believed:
            running.advance(10)
            client.socket.settimeout(0.2)
            with pytest.raises(socket.timeout):
                client.socket.recv(1)
            client.socket.settimeout(5)
        advance_until_heard(running, client, 5.1 if believed else 20.1)
        assert refusal(client) == (504, "deadline_exceeded" if believed else "timeout")


def test_nobody_can_lengthen_it(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    running = gateway(
        {
            "services": [
                {
                    "name": "s",
                    "url": service.url,
                    "timeout": "10s",
                    "deadline": {"header": "x-left", "trust": "everybody"},
                }
            ],
            "routes": [{"name": "r", "paths": ["/"], "service": "s"}],
        }
    )
    running.get("/x", headers={"x-left": "3600000"})
    left = service.last.header("x-left")
    assert left is not None
    assert int(left) <= 10_000


def test_the_timeout_of_a_service_holds_for_routes_without_one(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    running = gateway(
        {
            "services": [{"name": "s", "url": service.url, "timeout": "10s", "deadline": {"header": "x-left"}}],
            "routes": [
                {"name": "own", "paths": ["/own"], "service": "s", "timeout": "50s"},
                {"name": "none", "paths": ["/"], "service": "s"},
            ],
        }
    )
    for path, most in (("/own", 50_000), ("/x", 10_000)):
        running.get(path)
        left = service.last.header("x-left")
        assert left is not None
        assert most - 5_000 < int(left) <= most
