"""The metrics, as a Prometheus scraper reads them."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from tidegate import ConfigError

from tests.echo import EchoGateway, Start, ask
from tests.harness import eventually

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def families(gateway: EchoGateway) -> dict[str, Metric]:
    return {family.name: family for family in read_prometheus(gateway.metrics()[1])}


def value(gateway: EchoGateway, name: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels."""
    samples = (sample for family in families(gateway).values() for sample in family.samples)
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def shows(expected: float, gateway: EchoGateway, name: str, **labels: str) -> None:
    """The client may have its answer a moment before it is counted."""
    eventually(lambda: value(gateway, name, **labels) == expected)


def test_requests_are_counted_by_route_service_class_and_code(start: Start) -> None:
    gateway = start({})
    for target in ("/", "/", "/a", "/nowhere-at-all", "/down"):
        ask(gateway, target=target)
    shows(5, gateway, "tidegate_requests_total")
    counted = {
        tuple(sample.labels[name] for name in ("route", "service", "class", "code")): sample.value
        for sample in families(gateway)["tidegate_requests"].samples
    }
    assert counted == {("echo", "echo", "2xx", "200"): 3, ("", "", "4xx", "404"): 1, ("down", "down", "5xx", "502"): 1}


def test_no_count_is_lost_between_workers(start: Start) -> None:
    gateway = start({}, workers=3)
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: ask(gateway), range(400)))
    shows(400, gateway, "tidegate_requests_total", route="echo")
    shows(400, gateway, "tidegate_request_duration_seconds_count", route="echo")
    shows(400, gateway, "tidegate_connections_closed_total")


def test_a_histogram_is_cumulative_and_agrees_with_its_count(start: Start) -> None:
    gateway = start({})
    for _ in range(5):
        ask(gateway)
    shows(5, gateway, "tidegate_request_duration_seconds_count", route="echo")
    for name, label in (
        ("tidegate_request_duration_seconds", "route"),
        ("tidegate_upstream_duration_seconds", "service"),
    ):
        samples = [s for s in families(gateway)[name].samples if s.labels[label] == "echo"]
        buckets = [s.value for s in samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == next(s.value for s in samples if s.name.endswith("_count")) == 5
        assert 0 < next(s.value for s in samples if s.name.endswith("_sum")) < 50


def test_bytes_are_those_of_bodies(start: Start) -> None:
    gateway = start({})
    answer = ask(gateway, "POST", headers=[("Content-Length", "5")], body=b"12345")
    shows(5, gateway, "tidegate_request_bytes_total", route="echo")
    shows(len(answer.body), gateway, "tidegate_answer_bytes_total", route="echo")


def test_refusals_are_counted_by_code_also_those_of_what_was_no_request(start: Start) -> None:
    gateway = start({})
    ask(gateway, target="/nowhere-at-all")
    ask(gateway, target="/down")
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\nHost: a\r\n\r\n")
        client.recv(100)
    for code in ("no_route", "upstream_connect_failed", "malformed_request"):
        shows(1, gateway, "tidegate_refusals_total", code=code)
    shows(2, gateway, "tidegate_requests_total")


def test_connections_of_clients_come_and_go(start: Start) -> None:
    gateway = start({})
    with socket.create_connection(gateway.address(), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(10)
        shows(1, gateway, "tidegate_connections")
        shows(1, gateway, "tidegate_connections_accepted_total")
    shows(0, gateway, "tidegate_connections")
    shows(1, gateway, "tidegate_connections_closed_total")


def test_the_pool_says_what_it_holds(start: Start) -> None:
    gateway = start({}, workers=1)
    for _ in range(3):
        ask(gateway)
    shows(0, gateway, "tidegate_pool_connections", service="echo", state="busy")
    shows(1, gateway, "tidegate_pool_connections", service="echo", state="idle")
    shows(1, gateway, "tidegate_pool_opened_total", service="echo")
    shows(2, gateway, "tidegate_pool_reused_total", service="echo")


def test_retries_are_counted_by_service(start: Start) -> None:
    gateway = start({})
    ask(gateway, target="/down")
    shows(1, gateway, "tidegate_upstream_retries_total", service="down", reason="connect_failure")


def test_nothing_is_in_flight_when_all_is_answered(start: Start) -> None:
    gateway = start({})
    ask(gateway)
    shows(0, gateway, "tidegate_requests_in_flight")


def test_counts_go_on_over_a_reload(start: Start) -> None:
    gateway = start({})
    ask(gateway)
    gateway.reload({"request_id": {}})
    ask(gateway)
    shows(2, gateway, "tidegate_requests_total", route="echo")
    shows(2, gateway, "tidegate_reloads_total", result="applied")


@pytest.mark.parametrize("bad", [{"access_log": {"file": "/nowhere/at/all.log"}}, {"acess_log": "off"}])
def test_a_refused_document_is_counted_and_changes_nothing(start: Start, bad: dict[str, object]) -> None:
    gateway = start({})
    applied = value(gateway, "tidegate_last_reload_success_timestamp_seconds")
    with pytest.raises(ConfigError, match=r"access_log|acess_log"):
        gateway.reload({}, **bad)
    shows(1, gateway, "tidegate_reloads_total", result="refused")
    shows(applied, gateway, "tidegate_last_reload_success_timestamp_seconds")
    assert ask(gateway).status == 200


def test_series_of_a_route_that_is_gone_stay_for_a_last_scrape_and_then_go(start: Start) -> None:
    gateway = start({}, routes=[{"name": "old", "paths": ["=/old"], "respond": {"status": 204}}])
    ask(gateway, target="/old")
    gateway.reload({})
    shows(1, gateway, "tidegate_requests_total", route="old")
    gateway.advance(200)
    shows(1, gateway, "tidegate_requests_total", route="old")

    def is_gone_later() -> bool:
        # The grace begins when nothing holds the series any more: old snapshots are taken apart by another thread.
        gateway.advance(301)
        return value(gateway, "tidegate_requests_total", route="old") == 0

    eventually(is_gone_later)
    ask(gateway)
    shows(1, gateway, "tidegate_requests_total", route="echo")


def test_a_service_cannot_make_up_series_without_end(start: Start) -> None:
    gateway = start({}, workers=1)
    for status in range(210, 250):
        ask(gateway, target=f"/a?status={status}")
    shows(40, gateway, "tidegate_requests_total")
    samples = families(gateway)["tidegate_requests"].samples
    assert len(samples) == 25
    assert [s.value for s in samples if s.labels["code"] == "other"] == [16]


def test_names_of_any_kind_come_through(start: Start) -> None:
    name = 'a "quoted\\name" ü'
    gateway = start({}, routes=[{"name": name, "paths": ["=/odd"], "respond": {"status": 204}}])
    ask(gateway, target="/odd")
    shows(1, gateway, "tidegate_requests_total", route=name)


def test_a_scraper_that_asks_for_open_metrics_gets_it(start: Start) -> None:
    gateway = start({})
    for target in ("/", "/down"):
        ask(gateway, target=target)
    content_type, text = gateway.metrics(OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    read = read_open_metrics(text)  # type: ignore[no-untyped-call]
    assert {family.name for family in read} == set(families(gateway))


def test_the_page_lists_every_metric(start: Start, tmp_path: Path) -> None:
    # Redis, the store and overload have theirs only where the document names them; nobody has to answer for that.
    shared: dict[str, Any] = {
        "overload": {},
        "redis": {"url": "redis://127.0.0.1:1"},
        "store": {"url": f"sqlite:///{tmp_path}/keys.db"},
        "routes": [
            {
                "name": "new",
                "paths": ["/new"],
                "service": "echo",
                "mirror": {"service": "down"},
                "canary": {"service": "down"},
            },
            {
                "name": "composed",
                "paths": ["/composed"],
                "compose": {"calls": {"one": {"service": "echo", "path": "/"}}, "response": "{one}"},
            },
        ],
    }
    policies: dict[str, Any] = {
        "rate_limit": {"limit": "100/1m"},
        "api_key": {"optional": True},
        "fault": {"abort": {"share": 0}},
        "idempotency": {},
        "api_version": {"name": "one"},
    }
    gateway = start(policies, **shared)
    # A call of a composition has its series once it was made.
    ask(gateway, target="/composed")
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    shown = {f.name + ("_total" if f.type == "counter" else "") for f in families(gateway).values()}
    assert listed == shown
