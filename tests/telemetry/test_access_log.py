"""The access log: one JSON object a line, for everything that was asked, and nothing lost at an orderly exit."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.echo import EchoGateway, Start, ask
from tests.harness import FakeUpstream, eventually

Logged = Callable[..., EchoGateway]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def logged(start: Start, log: Path) -> Logged:
    def logged(policies: dict[str, Any] | None = None, **document: Any) -> EchoGateway:
        return start(policies or {}, access_log={"file": str(log)}, **document)

    return logged


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_bytes().splitlines()]


def test_a_line_says_what_was_asked_and_what_came_of_it(logged: Logged, log: Path) -> None:
    gateway = logged({"request_id": {}, "trace_context": {}})
    headers = [("Host", "Shop.Example:80"), ("User-Agent", "test/1"), ("Content-Length", "2")]
    before = datetime.now(UTC)
    answer = ask(gateway, "POST", "/a/%41?token=secret", headers=headers, body=b"hi")
    gateway.stop()
    (line,) = lines(log)
    moment = datetime.fromisoformat(line.pop("time"))
    assert before - timedelta(milliseconds=2) <= moment <= datetime.now(UTC)
    assert 0 < line.pop("upstream_ms") <= line.pop("duration_ms") < 10_000
    assert line.pop("target").startswith("127.0.0.1:")
    assert line.pop("trace_id") == answer.echo.one("traceparent").split("-")[1]
    assert line == {
        "client": "127.0.0.1",
        "request_id": answer.one("x-request-id"),
        "method": "POST",
        "path": "/a/%41",
        "host": "shop.example",
        "protocol": "1.1",
        "user_agent": "test/1",
        "status": 200,
        "route": "echo",
        "service": "echo",
        "request_bytes": 2,
        "answer_bytes": len(answer.body),
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("target", "reason", "status"),
    [("/nowhere-at-all", "no_route", 404), ("/down", "upstream_connect_failed", 502), ("/a/%zz", "bad_path", 400)],
)
def test_the_gateways_own_answers_have_a_reason(
    logged: Logged, log: Path, target: str, reason: str, status: int
) -> None:
    gateway = logged()
    assert ask(gateway, target=target).status == status
    gateway.stop()
    (line,) = lines(log)
    assert (line["reason"], line["status"]) == (reason, status)


def test_what_exactly_was_wrong_is_for_operators_only(logged: Logged, log: Path) -> None:
    gateway = logged()
    answer = ask(gateway, target="/down")
    gateway.stop()
    (line,) = lines(log)
    assert line["target"] in line["detail"]
    assert b"127.0.0.1" not in answer.body
    assert line["attempts"] >= 1


# By what the client was told, an operator finds what it sent.
def test_a_request_that_is_refused_by_its_head_says_who_sent_what(logged: Logged, log: Path) -> None:
    gateway = logged({"request_id": {}}, trusted_proxies=["127.0.0.1"])
    sent = [("X-Forwarded-For", "192.0.2.7"), ("User-Agent", "test/1")]
    ids = [
        ask(gateway, target=target, headers=headers).one("x-request-id")
        for target, headers in [("/a/%zz?token=secret", sent), ("/a", [*sent, ("Host", "a"), ("Host", "a")])]
    ]
    gateway.stop()
    # Each worker writes lines of its own: their order is not that of the requests.
    path, host = sorted(lines(log), key=lambda line: str(line["reason"]), reverse=True)
    assert (path["method"], path["path"], path["reason"], path["client"]) == ("GET", "/a/%zz", "bad_path", "192.0.2.7")
    assert (host["method"], host["reason"], host["user_agent"]) == ("GET", "bad_host", "test/1")
    assert [path["request_id"], host["request_id"]] == ids
    assert "secret" not in log.read_text()
    assert all("route" not in line and "service" not in line for line in (path, host))


def test_a_client_on_a_unix_socket_is_written_as_one(logged: Logged, log: Path, tmp_path: Path) -> None:
    gateway = logged(address=f"unix:{tmp_path}/gateway.socket")
    assert ask(gateway, unix=tmp_path / "gateway.socket").status == 200
    gateway.stop()
    (line,) = lines(log)
    assert line["client"] == "unix:"


def test_a_message_that_is_no_request_has_a_line_too(logged: Logged, log: Path) -> None:
    gateway = logged()
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\nHost: a\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    gateway.stop()
    (line,) = lines(log)
    assert line.keys() == {"time", "client", "status", "reason", "detail"}
    assert (line["status"], line["reason"]) == (400, "malformed_request")


def test_nothing_a_client_sends_can_forge_a_line(logged: Logged, log: Path) -> None:
    gateway = logged()
    agents = [b'a"b\\c', "ü\u2028\u0085".encode(), b"\xff\xfe", b"a\tb", b"\x80{}"]
    for agent in agents:
        with socket.create_connection(gateway.address(), timeout=10) as client:
            client.sendall(
                b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: " + agent + b"\r\n\r\n"
            )
            while client.recv(4096):
                pass
    gateway.stop()
    text = log.read_bytes().decode()
    assert text.count("\n") == len(text.splitlines()) == len(agents)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    # Workers write one after another, so lines do not come in the order of the requests.
    assert {line["user_agent"] for line in lines(log)} == {agent.decode(errors="replace") for agent in agents}


def test_the_client_is_whom_a_trusted_proxy_names(logged: Logged, log: Path) -> None:
    gateway = logged(trusted_proxies=["127.0.0.1"])
    ask(gateway, headers=[("X-Forwarded-For", "1.2.3.4")])
    gateway.stop()
    assert lines(log)[0]["client"] == "1.2.3.4"


def test_a_client_that_leaves_is_logged_as_499(logged: Logged, log: Path, echo_service: FakeUpstream) -> None:
    gateway = logged()
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall(b"GET /a/hang HTTP/1.1\r\nHost: a\r\n\r\n")
        echo_service.wait_for_requests()
    eventually(lambda: log.stat().st_size > 0)
    gateway.stop()
    (line,) = lines(log)
    assert (line["status"], line["reason"], line["attempts"]) == (499, "client_gone", 1)


def test_what_a_stop_cuts_off_has_a_line(logged: Logged, log: Path, echo_service: FakeUpstream) -> None:
    gateway = logged()
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall(b"GET /a/hang HTTP/1.1\r\nHost: a\r\n\r\n")
        echo_service.wait_for_requests()
        gateway.stop(patience_ms=0)
    (line,) = lines(log)
    assert line["reason"] == "stopped"


def test_the_log_goes_to_stdout_unless_told_otherwise(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    gateway = start({}, access_log="stdout")
    ask(gateway)
    gateway.stop()
    assert json.loads(capfd.readouterr().out)["status"] == 200


def test_no_line_is_lost_when_the_gateway_stops(logged: Logged, log: Path) -> None:
    gateway = logged()
    for _ in range(200):
        ask(gateway, target="/nowhere-at-all")
    gateway.stop()
    assert len(lines(log)) == 200


def test_a_file_is_appended_to(logged: Logged, log: Path) -> None:
    for _ in range(2):
        gateway = logged()
        ask(gateway)
        gateway.stop()
    assert len(lines(log)) == 2


def test_a_log_that_was_renamed_is_let_go_on_a_reload(logged: Logged, log: Path) -> None:
    gateway = logged()
    ask(gateway, target="/a/1")
    log.rename(old := log.with_suffix(".1"))
    ask(gateway, target="/a/2")
    eventually(lambda: len(lines(old)) == 2)
    gateway.reload({}, access_log={"file": str(log)})
    ask(gateway, target="/a/3")
    gateway.stop()
    assert [line["path"] for line in lines(log)] == ["/a/3"]
    assert {line["path"] for line in lines(old)} == {"/a/1", "/a/2"}


def test_the_log_can_be_switched_on_and_off(start: Start, log: Path) -> None:
    gateway = start({})
    ask(gateway, target="/a/1")
    eventually(lambda: "\ntidegate_requests_in_flight 0\n" in gateway.metrics()[1])
    gateway.reload({}, access_log={"file": str(log)})
    ask(gateway, target="/a/2")
    eventually(lambda: len(lines(log)) == 1)
    gateway.reload({}, access_log="off")
    ask(gateway, target="/a/3")
    gateway.stop()
    assert [line["path"] for line in lines(log)] == ["/a/2"]


def test_a_reader_that_is_too_slow_costs_lines_and_no_request(logged: Logged, log: Path) -> None:
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    gateway = logged(workers=1)
    agent = [("User-Agent", "a" * 20_000)]
    asked = 100
    answers = [ask(gateway, headers=agent) for _ in range(asked)]
    assert {answer.status for answer in answers} == {200}

    def dropped() -> int:
        found = re.search(r"^tidegate_access_log_dropped_total (\d+)$", gateway.metrics()[1], re.MULTILINE)
        assert found is not None
        return int(found[1])

    eventually(lambda: dropped() > 0)
    os.set_blocking(reader, True)
    with open(reader, "rb") as stream:
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        written = [json.loads(line) for line in stream]
        stopping.join()
    assert len(written) + dropped() == asked


def test_a_reader_that_is_stuck_does_not_hold_a_reload_up(logged: Logged, log: Path) -> None:
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    gateway = logged(workers=1)
    agent = [("User-Agent", "a" * 20_000)]
    for _ in range(10):
        ask(gateway, headers=agent)
    other = log.with_suffix(".new")
    gateway.reload({}, access_log={"file": str(other)})
    ask(gateway, target="/a/after")
    os.set_blocking(reader, True)
    with open(reader, "rb") as stream:
        written = [json.loads(line) for line in stream]
    gateway.stop()
    assert len(written) + len(lines(other)) == 11
