"""Active health checks: every target is asked, and what is not well gets no requests."""

from __future__ import annotations

import re
import ssl
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from tidegate import ConfigError, check

from tests.conftest import StartGateway, StartUpstream
from tests.harness import eventually
from tests.harness.gateway import ask
from tests.health.conftest import Backend, StartPool
from tests.http2.service import Asked
from tests.http2.service import service as http2_service
from tests.tls.certificates import Authority

CHECK = {"path": "/health", "interval": "10s", "timeout": "1s", "healthy": 2, "unhealthy": 3}
PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "health.md"


def test_a_target_that_fails_often_enough_gets_no_requests_until_it_has_recovered(pool: StartPool) -> None:
    it = pool(2, active=CHECK)
    a, _ = it.backends
    it.begun()
    assert set(it.ask(4)) == {"a", "b"}
    a.sick()
    it.next_probes(2)
    assert it.state(a) == "healthy"
    it.next_probes()
    it.becomes(a, "unhealthy")
    assert set(it.ask(6)) == {"b"}
    a.well()
    it.next_probes()
    assert it.state(a) == "unhealthy"
    it.next_probes()
    it.becomes(a, "healthy")
    assert set(it.ask(4)) == {"a", "b"}


def test_a_target_has_one_prober_whatever_workers_routes_and_reloads_there_are(pool: StartPool) -> None:
    it = pool(1, active=CHECK, workers=4)
    (a,) = it.backends
    it.begun()
    for timeout in ("3s", "4s", "5s"):
        it.running.reload(it.document() | {"services": [it.document()["services"][0] | {"read_timeout": timeout}]})
    it.ask(3)
    it.next_probes()
    assert a.probes == 2


def test_what_is_known_stays_over_a_reload_as_long_as_the_check_is_the_same(pool: StartPool) -> None:
    it = pool(2, active={**CHECK, "unhealthy": 1})
    a, _ = it.backends
    it.begun()
    a.sick()
    it.next_probes()
    it.becomes(a, "unhealthy")
    service = it.document()["services"][0]
    it.running.reload(it.document() | {"services": [service | {"retries": 1, "read_timeout": "5s"}]})
    assert it.state(a) == "unhealthy"
    assert set(it.ask(6)) == {"b"}
    # Under another check it begins anew.
    a.well()
    it.running.reload(it.document(active={**CHECK, "unhealthy": 2}))
    it.becomes(a, "healthy")


def test_a_check_that_is_taken_away_lets_its_targets_back_in(pool: StartPool) -> None:
    it = pool(2, active={**CHECK, "unhealthy": 1})
    a, _ = it.backends
    it.begun()
    a.sick()
    it.next_probes()
    it.becomes(a, "unhealthy")
    it.running.reload(it.document(passive=True))
    it.becomes(a, "healthy")
    probes = a.probes
    it.running.advance(100)
    assert set(it.ask(6)) == {"a", "b"}
    assert a.probes == probes


def test_nothing_goes_to_a_target_that_begins_unhealthy_before_it_has_answered(pool: StartPool) -> None:
    it = pool(1, active={**CHECK, "initial": "unhealthy"})
    (a,) = it.backends
    it.becomes(a, "healthy")
    assert (a.probes, it.ask()) == (1, ["a"])


def test_as_long_as_it_has_not_requests_are_refused(pool: StartPool, upstream: StartUpstream) -> None:
    backend = Backend(upstream(), "a")
    backend.sick()
    it = pool([backend], active={**CHECK, "initial": "unhealthy"})
    assert it.ask(2) == ["503", "503"]
    it.begun()
    assert it.ask(2) == ["503", "503"]
    assert backend.calls == 0


OK = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready"
CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("options", "answer", "fault"),
    [
        ({}, OK, None),
        ({}, "HTTP/1.1 204 No Content\r\n\r\n", None),
        ({}, "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + OK, None),
        ({}, "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "status 302"),
        ({"status": [200, "301-399"]}, "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", None),
        ({"status": 204}, OK, "status 200"),
        ({"body": "ead"}, OK, None),
        ({"body": "ead"}, CHUNKED, None),
        ({"body": "red"}, OK, "the body is not the one expected"),
        ({"body": "~^re[ad]+y$"}, OK, None),
        ({"body": "~^eady$"}, OK, "the body is not the one expected"),
        ({"body": "x"}, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nre", "the body broke off"),
        ({}, "nonsense\r\n\r\n", "the answer is not valid HTTP"),
        ({}, "", "it closed the connection before its answer"),
    ],
)
def test_what_counts_as_well(
    pool: StartPool, upstream: StartUpstream, options: dict[str, Any], answer: str, fault: str | None
) -> None:
    backend = Backend(upstream(), "a")
    backend.health = answer.encode()
    it = pool([backend], active={**CHECK, "unhealthy": 1, **options})
    it.begun()
    found = it.targets()["a"]["probe"]["fault"]
    assert found == fault or (fault and found.startswith(fault)), found
    it.becomes(backend, "unhealthy" if fault else "healthy")


def test_an_answer_that_does_not_come_in_time_is_a_bad_one(pool: StartPool, upstream: StartUpstream) -> None:
    backend = Backend(upstream(), "a")
    backend.health = None
    it = pool([backend], active={**CHECK, "unhealthy": 1})
    backend.service.wait_for_requests(1)
    it.running.advance(1.1)
    it.becomes(backend, "unhealthy")
    assert it.targets()["a"]["probe"]["fault"] == "no answer within 1000ms"


def test_it_is_asked_as_the_document_says(pool: StartPool) -> None:
    options = {"path": "/health?deep=1", "method": "HEAD", "host": "a.example", "headers": {"x-probe": "yes"}}
    it = pool(1, active={**CHECK, **options})
    it.begun()
    request = it.backends[0].service.requests[0]
    assert (request.method, request.target) == ("HEAD", "/health?deep=1")
    fields = dict(request.fields)
    assert (fields["host"], fields["x-probe"], fields["user-agent"]) == ("a.example", "yes", "tidegate-health")
    assert fields["connection"] == "close"


def test_another_port_is_asked_where_the_document_says_so(pool: StartPool, upstream: StartUpstream) -> None:
    other = Backend(upstream(), "other")
    it = pool(1, active={**CHECK, "port": other.service.address[1]})
    it.begun()
    assert (other.probes, it.backends[0].probes) == (1, 0)


def test_tcp_is_satisfied_with_a_connection(pool: StartPool) -> None:
    it = pool(2, active={"type": "tcp", "interval": "10s", "unhealthy": 1})
    a, b = it.backends
    it.begun()
    a.service.stop()
    it.next_probes()
    it.becomes(a, "unhealthy")
    assert it.state(b) == "healthy"
    assert it.targets()["a"]["probe"]["fault"].startswith("connect: ")


def test_tls_is_the_service_s(gateway: StartGateway, upstream: StartUpstream, authority: Authority) -> None:
    issued = authority.issue("localhost", "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    services = []
    for name, ca in (("trusted", {"ca": str(authority.file)}), ("unknown", {})):
        backend = Backend(upstream(tls=tls), name)
        check = {"active": {**CHECK, "unhealthy": 1}}
        pool = {"targets": [{"address": backend.address}], "health_check": check, "panic_threshold": 0}
        services.append({"name": name, "upstream": pool, "tls": {"server_name": "localhost", **ca}})
    running = gateway({"services": services, "routes": []})

    def states() -> dict[str, Any]:
        return {service["name"]: service["targets"][0] for service in running.server.health()}

    expected = {"trusted": "healthy", "unknown": "unhealthy"}
    eventually(lambda: all(target.get("probe", {}).get("seconds_ago") is not None for target in states().values()))
    eventually(lambda: {name: target["state"] for name, target in states().items()} == expected)
    assert "issuer" in states()["unknown"]["probe"]["fault"]


class Health(grpc.GenericRpcHandler):  # type: ignore[misc]
    """`grpc.health.v1.Health/Check`, its messages as bytes."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.statuses = {b"": b"\x08\x01", b"\x0a\x04shop": b"\x08\x02"}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        assert details.method == "/grpc.health.v1.Health/Check"

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append(request)
            if request not in self.statuses:
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return self.statuses[request]

        raw = lambda message: message  # noqa: E731
        return grpc.unary_unary_rpc_method_handler(answer, raw, raw)


@pytest.mark.parametrize(("service", "fault"), [("", None), ("shop", "NOT_SERVING"), ("nobody", "grpc-status 5")])
def test_grpc_is_asked_by_its_own_protocol(gateway: StartGateway, service: str, fault: str | None) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health = Health()
    server.add_generic_rpc_handlers((health,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        active = {"type": "grpc", "service": service, "interval": "10s", "timeout": "5s", "unhealthy": 1}
        upstream = {"targets": [{"address": f"127.0.0.1:{port}"}], "health_check": {"active": active}}
        running = gateway({"services": [{"name": "s", "protocol": "h2", "upstream": upstream}], "routes": []})

        def probe() -> Any:
            found = running.server.health()[0]["targets"][0].get("probe")
            return found if found and found["seconds_ago"] is not None else None

        assert eventually(probe)["fault"] == fault
        assert len(health.asked) == 1
    finally:
        server.stop(None)


@pytest.mark.parametrize(("status", "fault"), [(200, None), (503, "status 503")])
def test_a_service_of_http2_is_asked_over_http2(gateway: StartGateway, status: int, fault: str | None) -> None:
    fields: list[dict[str, str]] = []

    def answer(asked: Asked) -> None:
        fields.append(asked.fields)
        asked.answer(status, b"ready")

    with http2_service(answer) as backend:
        active = {**CHECK, "unhealthy": 1, "body": "ready"}
        upstream = {"targets": [{"address": f"127.0.0.1:{backend.port}"}], "health_check": {"active": active}}
        running = gateway({"services": [{"name": "s", "protocol": "h2", "upstream": upstream}], "routes": []})

        def probe() -> Any:
            found = running.server.health()[0]["targets"][0].get("probe")
            return found if found and found["seconds_ago"] is not None else None

        assert eventually(probe)["fault"] == fault
    assert [(asked[":method"], asked[":path"]) for asked in fields] == [("GET", "/health")]


def test_operators_see_it_and_readiness_does_not_depend_on_it(pool: StartPool) -> None:
    it = pool(2, active={**CHECK, "unhealthy": 1})
    a, b = it.backends
    it.running.reload(it.document() | {"admin": {"address": "127.0.0.1:0"}})
    it.begun()
    a.sick()
    b.sick()
    it.next_probes()
    it.becomes(b, "unhealthy")
    assert it.ask() == ["503"]
    text = it.running.metrics()
    labels = f'service="service",target="{a.address}"'
    assert f"tidegate_target_healthy{{{labels}}} 0" in text
    assert re.search(rf'tidegate_target_probes_total{{{labels},result="passed"}} 1\n', text)
    assert re.search(rf'tidegate_target_probes_total{{{labels},result="failed"}} 1\n', text)


def test_the_admin_listener_lists_services(gateway: StartGateway, upstream: StartUpstream) -> None:
    backend = Backend(upstream(), "a")
    upstream_options = {"targets": [{"address": backend.address}], "health_check": {"active": "/health"}}
    running = gateway(
        {
            "services": [{"name": "s", "upstream": upstream_options}],
            "routes": [],
            "admin": {"address": "127.0.0.1:0"},
        }
    )
    assert running.admin is not None
    host, _, port = running.admin.url.removeprefix("http://").partition(":")
    listed = ask((host, int(port)), "GET", "/services").json()
    assert listed["services"][0]["targets"][0]["address"] == backend.address
    assert ask((host, int(port)), "GET", "/readyz").status == 200


@pytest.mark.parametrize(
    ("active", "problem"),
    [
        ({"type": "tcp", "path": "/"}, "active.path: `path` does not go with `type: tcp`"),
        ({"type": "grpc"}, "active.type: `grpc` goes over HTTP/2"),
        ({"interval": "1s", "timeout": "2s"}, "active.timeout: must not be longer than `interval`"),
        ({"status": "299-200"}, "active.status: a range goes upwards"),
        ({"status": 42}, "active.status: expected a status"),
        ({"path": "health"}, "active.path: expected a path"),
        ({"body": "~("}, "active.body"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, active: dict[str, Any], problem: str) -> None:
    import json

    upstream = {"targets": [{"address": "127.0.0.1:9"}], "health_check": {"active": active}}
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"services": [{"name": "s", "upstream": upstream}]}))
    with pytest.raises(ConfigError) as raised:
        check(file)
    assert problem in str(raised.value)


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(example[1])
    assert check(file).plan
