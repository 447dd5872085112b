"""Passive health checks: a target whose calls stand out is left alone for a while."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness import eventually
from tests.health.conftest import Backend, Pool, StartPool

CHECK = {"consecutive_failures": 3, "ejection_time": "30s", "probation": 2}


def fail(it: Pool, backend: Backend, times: int, status: int | None = 503) -> None:
    """Asks until this target has failed so often."""
    before, backend.status = backend.status, status
    wanted = backend.calls + times
    while backend.calls < wanted:
        it.ask()
    backend.status = before


def test_so_many_failures_in_a_row_eject_a_target_and_it_returns(pool: StartPool) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 2)
    assert set(it.ask(4)) == {"a", "b"}  # what succeeds in between forgives
    fail(it, a, 3)
    it.becomes(a, "ejected")
    assert set(it.ask(6)) == {"b"}
    it.running.advance(29)
    assert set(it.ask(6)) == {"b"}
    it.running.advance(1)
    assert set(it.ask(6)) == {"a", "b"}
    assert it.state(a) == "healthy"


@pytest.mark.parametrize("status", [500, 502, 503, 504, None])
def test_errors_of_the_service_count(pool: StartPool, status: int | None) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 3, status)
    it.becomes(a, "ejected")


@pytest.mark.parametrize("status", [200, 404, 429, 501])
def test_other_answers_do_not(pool: StartPool, status: int) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 6, status)
    assert it.state(a) == "healthy"


def test_the_document_says_which_do(pool: StartPool) -> None:
    it = pool(2, passive={**CHECK, "status": ["500-599", 429]})
    a, b = it.backends
    fail(it, a, 3, 429)
    it.becomes(a, "ejected")
    assert it.state(b) == "healthy"


def test_a_target_that_is_gone_is_ejected(pool: StartPool) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    a.service.stop()
    answers = it.ask(12)
    assert answers.count("502") == 3
    it.becomes(a, "ejected")


def test_one_that_does_not_answer_in_time_too(pool: StartPool) -> None:
    it = pool(1, passive={**CHECK, "consecutive_failures": 1}, read_timeout="1s")
    (a,) = it.backends
    a.hold = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(it.ask)
        a.service.wait_for_requests(1)
        it.running.advance(1.1)
        assert answer.result() == ["504"]
    a.hold.set()
    it.becomes(a, "ejected")


def test_clients_that_leave_say_nothing_of_a_target(pool: StartPool) -> None:
    it = pool(1, passive={**CHECK, "consecutive_failures": 1})
    (a,) = it.backends
    a.hold = threading.Event()
    for turn in range(1, 4):
        with socket.create_connection(it.running.address()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            a.service.wait_for_requests(turn)
    eventually(lambda: it.targets()["a"]["in_flight"] == 0)
    a.hold.set()
    assert (it.state(a), it.ask()) == ("healthy", ["a"])


def test_on_probation_one_failure_ejects_it_for_longer(pool: StartPool) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 3)
    it.running.advance(30)
    fail(it, a, 1)
    it.becomes(a, "ejected")
    assert 50 < it.targets()["a"]["ejection"]["seconds_left"] <= 60
    it.running.advance(60)
    it.ask(8)
    eventually(lambda: not it.targets()["a"]["ejection"]["probation"])
    fail(it, a, 2)
    assert it.state(a) == "healthy"


def test_all_workers_count_together(pool: StartPool) -> None:
    it = pool(2, passive={**CHECK, "consecutive_failures": 6}, workers=4)
    a, _ = it.backends
    a.status = 503
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: it.ask(), range(40)))
    it.becomes(a, "ejected")
    # Those that were under way when it was ejected may have come, too.
    assert 6 <= a.calls <= 10


def test_no_more_than_a_share_is_out(pool: StartPool) -> None:
    it = pool(6, passive={**CHECK, "consecutive_failures": 1, "max_ejected": "50%"}, workers=4)
    for backend in it.backends:
        backend.status = 503
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: it.ask(), range(60)))
    expected = ["ejected"] * 3 + ["healthy"] * 3
    eventually(lambda: sorted(it.state(backend) for backend in it.backends) == expected)


def test_a_rate_ejects_when_there_are_enough_calls(pool: StartPool) -> None:
    passive = {"consecutive_failures": "off", "failure_rate": "50%", "minimum_calls": 10, "interval": "1h"}
    it = pool(2, passive=passive)
    a, _ = it.backends
    for turn in range(9):
        fail(it, a, 1, 200 if turn % 2 else 503)
    assert it.state(a) == "healthy"
    fail(it, a, 1, 503)
    it.becomes(a, "ejected")


def test_slow_answers_eject_too(pool: StartPool) -> None:
    passive = {
        "consecutive_failures": "off",
        "slow_rate": "100%",
        "slow_call": "2s",
        "minimum_calls": 2,
        "interval": "1h",
    }
    it = pool(1, passive=passive)
    (a,) = it.backends
    for turn in (1, 2):
        a.hold = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(it.ask)
            a.service.wait_for_requests(turn)
            it.running.advance(2.1)
            a.hold.set()
            assert answer.result() == ["a"]
    it.becomes(a, "ejected")


def test_an_ejection_goes_on_over_a_reload_and_ends_without_the_check(pool: StartPool) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 3)
    service = it.document()["services"][0]
    it.running.reload(it.document() | {"services": [service | {"read_timeout": "5s"}]})
    assert set(it.ask(6)) == {"b"}
    it.running.reload(it.document(active={"path": "/health"}))
    it.becomes(a, "healthy")
    assert set(it.ask(6)) == {"a", "b"}


def test_ejections_are_counted_by_cause(pool: StartPool) -> None:
    it = pool(2, passive=CHECK)
    a, _ = it.backends
    fail(it, a, 3)
    labels = rf'service="service",target="{re.escape(a.address)}",cause="consecutive_failures"'
    line = re.compile(rf"^tidegate_target_ejections_total{{{labels}}} 1$", re.M)
    eventually(lambda: line.search(it.running.metrics()))


@pytest.mark.parametrize(
    ("passive", "problem"),
    [
        ({"consecutive_failures": "off"}, "passive: nothing ejects a target"),
        ({"ejection_time": "10m"}, "passive.max_ejection_time: must not be shorter"),
        ({"failure_rate": 200}, "passive.failure_rate"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Any, passive: dict[str, Any], problem: str) -> None:
    import json

    from tidegate import ConfigError, load

    upstream = {"targets": [{"address": "127.0.0.1:9"}], "health_check": {"passive": passive}}
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"services": [{"name": "s", "upstream": upstream}]}))
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert problem in str(raised.value)
