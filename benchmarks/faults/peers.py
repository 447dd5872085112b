"""The gateways, each told to shield four services as well as it can.

All give up after the same time and send a request a second time where that is safe, within a budget where they have
one. The rest is what each calls its own: breakers, outlier detection, health checks.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from benchmarks.faults.illness import TIMEOUT, USUAL_MS
from benchmarks.peers import Envoy, Haproxy, Tidegate
from benchmarks.peers.envoy import BINARY, TYPES, address
from benchmarks.peers.haproxy import binary
from benchmarks.places import REPOSITORY
from benchmarks.workload import HOST, Launch, Site, Workload

Json = dict[str, Any]
FAILURES = 5
"""Failures in a row before a service is left alone."""
REST_MS = 1000
"""How long it is left alone at first."""


class Shield(Protocol):
    """A peer that knows how to be put before several services."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None: ...

    def version(self) -> str: ...

    def launch(self, workload: Workload, site: Site) -> Launch: ...

    def shield(self, site: Site, ports: list[int]) -> Launch:
        """Writes the configuration; `/service-N/` goes to the service on the Nth port."""


@dataclass(frozen=True)
class ShieldingTidegate(Tidegate):
    def shield(self, site: Site, ports: list[int]) -> Launch:
        document = site.folder / "gateway.yaml"
        document.write_text(yaml.safe_dump(_tidegate(site, ports), sort_keys=False))
        command = [sys.executable, "-m", "tidegate", "run", str(document), "--workers", "1"]
        return Launch(command, {"PYTHONPATH": str(REPOSITORY)})


def _tidegate(site: Site, ports: list[int]) -> Json:
    breaker = {
        "failure_threshold": FAILURES,
        "success_threshold": 3,
        "timeout": f"{REST_MS}ms",
        "window": "2s",
        "slow_call": f"{5 * USUAL_MS}ms",
        "slow_call_rate": 0.5,
        "minimum_calls": 20,
    }
    services = [
        {"name": f"service-{n}", "url": f"http://{HOST}:{port}", "retries": 1, "circuit_breaker": breaker}
        for n, port in enumerate(ports)
    ]
    routes = [
        {"name": f"route-{n}", "paths": [f"/service-{n}"], "service": f"service-{n}", "timeout": f"{TIMEOUT:g}s"}
        for n, _ in enumerate(ports)
    ]
    return {
        "listeners": [{"address": f"{HOST}:{site.port}", "limits": {"connections_per_address": 100_000}}],
        "admin": {"address": f"{HOST}:{site.admin_port}"},
        "access_log": "off",
        "services": services,
        "routes": routes,
    }


@dataclass(frozen=True)
class ShieldingEnvoy(Envoy):
    def shield(self, site: Site, ports: list[int]) -> Launch:
        configuration = site.folder / "envoy.json"
        configuration.write_text(json.dumps(_envoy(site, ports), indent=1))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return Launch([str(BINARY), "-c", str(configuration), *options], {})


def _envoy(site: Site, ports: list[int]) -> Json:
    retry = {"retry_on": "connect-failure,refused-stream,reset,retriable-status-codes", "num_retries": 1}
    routes = [
        {
            "match": {"prefix": f"/service-{n}/"},
            "route": {"cluster": f"service-{n}", "timeout": f"{TIMEOUT:g}s", "retry_policy": retry},
        }
        for n, _ in enumerate(ports)
    ]
    manager = {
        "@type": f"{TYPES}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "route_config": {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{TYPES}/envoy.extensions.filters.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "clients", "address": address(site.port), "filter_chains": [chain]}
    clusters = [_cluster(f"service-{n}", port) for n, port in enumerate(ports)]
    return {
        "admin": {"address": address(site.admin_port)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def _cluster(name: str, port: int) -> Json:
    budget = {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}
    many = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 4096)
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": f"{TIMEOUT:g}s",
        "circuit_breakers": {"thresholds": [{**many, "retry_budget": budget}]},
        "outlier_detection": {
            "consecutive_5xx": FAILURES,
            "consecutive_gateway_failure": FAILURES,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": f"{REST_MS / 1000:g}s",
            "max_ejection_time": f"{REST_MS / 1000:g}s",
            "max_ejection_percent": 100,
        },
        # Of one host that is ejected nothing is healthy: panic would send everything to it all the same.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


HAPROXY = """\
global
    nbthread 1
    maxconn 15000
    no strict-limits

defaults
    mode http
    timeout connect {timeout_ms}
    timeout client 1h
    timeout queue {timeout_ms}
    timeout server {timeout_ms}
    option http-keep-alive
    option redispatch 1
    retries 1
    retry-on conn-failure empty-response

frontend clients
    bind {host}:{port}
    {uses}

{backends}
"""

HAPROXY_BACKEND = """\
backend service-{n}
    http-reuse always
    option httpchk GET /health
    server one {host}:{server} check inter {rest_ms} fall 1 rise 1 maxconn 4096 observe layer7 \
error-limit {failures} on-error mark-down
"""


@dataclass(frozen=True)
class ShieldingHaproxy(Haproxy):
    def shield(self, site: Site, ports: list[int]) -> Launch:
        backends = [
            HAPROXY_BACKEND.format(n=n, host=HOST, server=port, rest_ms=REST_MS, failures=FAILURES)
            for n, port in enumerate(ports)
        ]
        uses = [f"use_backend service-{n} if {{ path_beg /service-{n}/ }}" for n, _ in enumerate(ports)]
        configuration: Path = site.folder / "haproxy.cfg"
        configuration.write_text(
            HAPROXY.format(
                host=HOST,
                port=site.port,
                timeout_ms=int(1000 * TIMEOUT),
                uses="\n    ".join(uses),
                backends="\n".join(backends),
            )
        )
        return Launch([binary() or "haproxy", "-db", "-q", "-f", str(configuration)], {})
