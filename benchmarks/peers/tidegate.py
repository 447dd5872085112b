"""Tidegate as people run it: `python -m tidegate run gateway.yaml`."""

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from benchmarks import credentials, toolbox
from benchmarks.guard import RATE, Credential, Guard
from benchmarks.peers.peer import ask_version
from benchmarks.places import REPOSITORY
from benchmarks.workload import HOST, SHIPMENT_TIMEOUT_MS, Composition, Launch, Protocol, Site, Workload

Json: TypeAlias = dict[str, Any]
MANY = 1_000_000
SAME_WORK: Json = {"forwarded": {"via": False}, "request_id": {"answer": False}}
"""Leaves out what Tidegate does by default and no peer does here: `Via`, and the request id on the answer too."""


@dataclass(frozen=True)
class Tidegate:
    name: str = "tidegate"
    arguments: tuple[str, ...] = ()
    """More of the command line of `tidegate run`."""

    def missing(self) -> str | None:
        if importlib.util.find_spec("tidegate") and importlib.util.find_spec("tidegate._native"):
            return None
        return "the gateway itself: `make build` and the repository's .venv"

    def version(self) -> str:
        return ask_version([sys.executable, "-m", "tidegate", "version"], r"(\d+\.\d[\w.]*)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        site.folder.mkdir(parents=True, exist_ok=True)
        document = site.folder / "gateway.yaml"
        document.write_text(yaml.safe_dump(_document(workload, site), sort_keys=False))
        command = [sys.executable, "-m", "tidegate", "run", str(document), "--workers", str(workload.workers)]
        return Launch([*command, *self.arguments], {"PYTHONPATH": str(REPOSITORY)})


def _document(workload: Workload, site: Site) -> Json:
    # All load comes from one address.
    listener: Json = {"address": f"{HOST}:{site.port}", "limits": {"connections_per_address": MANY}}
    if workload.client.is_encrypted:
        listener["tls"] = {"certificate": str(site.certificate), "key": str(site.key)}
    service: Json = {"name": "service", "url": f"http://{site.upstream}"}
    if workload.shielded is False:
        service["retries"] = 0
    if workload.upstream is Protocol.H2C:
        service["protocol"] = "h2"
    if workload.shielded:
        service = {"name": "service"} | _shield(site)
        if not workload.hedged:
            del service["hedging"]
    document: Json = {
        "listeners": [listener],
        "admin": {"address": f"{HOST}:{site.admin_port}"},
        "access_log": {"file": f"{site.folder}/access.log"} if workload.access_log else "off",
        "services": [service],
        "routes": [_route(workload, number) for number in range(workload.routes)],
    }
    if workload.shielded:
        document["overload"] = {}
    if workload.composition:
        document |= _composed(workload, site)
    policies = {} if workload.as_it_comes else dict(SAME_WORK)
    if guard := workload.policies:
        _guard(guard, site, document, policies)
    return document | {"policies": policies}


def _shield(site: Site) -> Json:
    """Every part of a service's shield at once."""
    return {
        "upstream": {
            "targets": [{"address": site.upstream}],
            "balance": "least_requests",
            "slow_start": "10s",
            "health_check": {
                "active": {"path": "/health", "interval": "1s"},
                "passive": {"consecutive_failures": 5, "failure_rate": 0.5, "slow_rate": 0.9, "slow_call": "1s"},
            },
        },
        "timeout": "10s",
        "try_timeout": "5s",
        "first_byte_timeout": "5s",
        "retries": {"attempts": 2, "on": ["connect_failure", "reset", 502, 503]},
        "hedging": {"after": "p95"},
        "circuit_breaker": {"failure_threshold": 5, "failure_rate": 0.5, "slow_call": "1s", "slow_call_rate": 0.9},
        "bulkhead": {"max_connections": 1000, "max_requests": 1000, "max_pending": 100, "queue_timeout": "1s"},
        "fallback": {"status": 503, "body": {"error": "temporarily unavailable"}},
    }


def _guard(guard: Guard, site: Site, document: Json, policies: Json) -> None:
    caller = "{consumer.name}" if guard.credential is Credential.API_KEY else "{claims.sub}"
    if guard.credential is Credential.API_KEY:
        policies["api_key"] = {"header": credentials.API_KEY_HEADER}
        keys = credentials.api_keys().items()
        document["consumers"] = [
            {"name": name, "keys": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"]} for name, key in keys
        ]
    else:
        policies["jwt"] = {
            "issuer": credentials.ISSUER,
            "audience": credentials.AUDIENCE,
            "algorithms": ["RS256"],
            "jwks": credentials.signer().jwks,
            "claims_to_headers": {"sub": "x-user-id", "roles": "x-user-roles", "email": "x-user-email"},
        }
    bucket = {"algorithm": "token_bucket", "rate": f"{RATE}/1s", "burst": RATE}
    limits = [{"name": f"limit-{number}", "key": f"{number}:{caller}", **bucket} for number in range(guard.limits)]
    policies["rate_limit"] = {"limits": limits}
    if guard.shared:
        document["redis"] = {"url": f"redis://{HOST}:{site.redis_port}"}
    if guard.signed:
        policies["signed_identity"] = {"issuer": "https://gateway.example.com", "keys": [str(toolbox.certificate()[1])]}


def _composed(workload: Workload, site: Site) -> Json:
    """The four services of a shop and the one route over them."""
    names = ("orders", "users", "products", "shipments")
    route: Json = {"name": "order-details", "paths": ["/api/v1/order-details/{order_id}"]}
    if workload.composition is Composition.HANDLER:
        route["handler"] = "benchmarks.applications.composed:order_details"
    else:
        shipment: Json = {"service": "shipments", "path": "/shipments/{path.order_id}"}
        if workload.illness:
            shipment |= {"optional": True, "timeout": f"{SHIPMENT_TIMEOUT_MS}ms"}
        route["compose"] = {
            "timeout": "10s",
            "calls": {
                "order": {"service": "orders", "path": "/orders/{path.order_id}"},
                "user": {"service": "users", "path": "/users/{order.userId}"},
                "products": {"service": "products", "path": "/products/{item}", "for_each": "{order.productIds}"},
                "shipment": shipment,
            },
            "response": {name: f"{{{name}}}" for name in ("order", "user", "products", "shipment")},
        }
    services = [{"name": name, "url": f"http://{site.upstream}"} for name in names]
    if workload.illness:
        services[-1]["url"] = f"http://{site.sick}"
    return {"services": services, "routes": [route]}


def _route(workload: Workload, number: int) -> Json:
    route: Json = {"name": f"route-{number}", "paths": [workload.prefix(number)]}
    if workload.handler and number == 0:
        return route | {"handler": workload.handler}
    if workload.application and number == 0:
        return {"name": "application", "paths": [workload.target(0)], "app": workload.application, "strip_path": False}
    if workload.plugin and number == 0:
        route["policies"] = {"plugins": {"list": [{"use": workload.plugin}]}}
    return route | {"service": "service", "strip_path": False, "preserve_host": True}
