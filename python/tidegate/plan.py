"""The plan: the resolved document as the engine takes it, every value explicit.

What is made here is what `crates/engine/src/plan.rs` decodes, field for field. Times are milliseconds, sizes are bytes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tidegate.actions.app import plan_app
from tidegate.actions.compose import plan_compose
from tidegate.actions.handler import plan_handler
from tidegate.actions.proxy import plan_proxy
from tidegate.config import addresses, paths
from tidegate.config.calling import OVERRIDES, plan_calling
from tidegate.config.check import TOKEN, Check
from tidegate.config.consumers import Consumer
from tidegate.config.credentials import plan_certificates, plan_keys, plan_users
from tidegate.config.fields import plan_fields
from tidegate.config.files import Files
from tidegate.config.listeners import Listener, ListenerTls
from tidegate.config.problem import Path, quote
from tidegate.config.routes import Route
from tidegate.config.services import Service, ServiceTls
from tidegate.config.targets_file import TargetsFile
from tidegate.config.upstream import ONE, Upstream, only_target, plan_targets
from tidegate.policies import PLANNED, Policies
from tidegate.policies.credentials import CREDENTIALS

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
"""One value as the JSON text of the plan."""

PlannedPolicies = dict[str, dict[str, Any] | None]

ACTIONS = ("service", "split", "compose", "respond", "redirect", "handler", "app")
PROXY_OPTIONS = ("strip_path", "rewrite", "preserve_host", *OVERRIDES)


class Scope:
    """The policies around a route: the gateway's, with those of its service over them."""

    def __init__(
        self,
        gateway: PlannedPolicies,
        service: PlannedPolicies,
        used: Collection[str],
        calling: Mapping[str, Any] | None = None,
        called: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """`used`: captures that the service's policies refer to, which its routes must have.

        `calling`: how the service is called, where a route says nothing else. `called`: the same of services that a
        composed answer calls, by name.
        """
        self.policies = {**gateway, **service}
        self.used = used
        self.calling = calling or default_calling()
        self._called = called or {}

    def calling_of(self, service: str) -> Mapping[str, Any]:
        """How a service is called that is not the route's own."""
        return self._called.get(service) or default_calling()

    def over(self, own: PlannedPolicies) -> list[dict[str, Any]]:
        """The policies of a route, in the order of the list."""
        merged = {**self.policies, **own} if own else self.policies
        return [{name: options} for name in PLANNED if (options := merged.get(name)) is not None]


@functools.cache
def default_calling() -> Mapping[str, Any]:
    """How a service is called that says nothing about it."""
    return plan_calling(Service(name="any", url="http://any"), Check())


def default_policies() -> PlannedPolicies:
    """What holds before any level has spoken: requests have an id, belong to a trace and say who the client is."""
    check = Check()
    return Policies.model_validate({"request_id": {}, "trace_context": {}, "forwarded": {}}).plan(check, ())


EARLY_POLICIES = ("request_id", "trace_context", "cors", "csrf", *CREDENTIALS, "any_of", "all_of")
"""Policies that act before it is known who calls."""


def plan_consumer(consumer: Consumer, check: Check) -> dict[str, Any]:
    """A consumer as the engine takes it."""
    for name in EARLY_POLICIES:
        if name in consumer.policies.model_fields_set:
            message = f"`{name}` acts before it is known which consumer calls"
            check.problem(("policies", name), "bad_value", message, "write it at the gateway, a service or a route")
    policies = consumer.policies.plan(check, ("policies",))
    return {
        "name": consumer.name,
        "enabled": consumer.enabled,
        "tier": consumer.tier,
        "tags": consumer.tags,
        "policies": [{name: options} for name in PLANNED if (options := policies.get(name)) is not None],
        "keys": plan_keys(consumer.keys, check, ("keys",)),
        "basic": plan_users(consumer.basic, check, ("basic",)),
        "certificates": plan_certificates(consumer.certificates, check, ("certificates",)),
    }


def plan_listener(listener: Listener, check: Check, files: Files) -> dict[str, Any]:
    """A listener as the engine takes it."""
    limits = listener.limits
    return {
        "name": listener.name if listener.name is not None else listener.address,
        "address": addresses.listener_address(listener.address, check, ("address",)),
        "tls": None if listener.tls is None else _listener_tls(listener.tls, check, files),
        "proxy_protocol": listener.proxy_protocol,
        "half_close": listener.half_close,
        "http2": listener.http2,
        "limits": {
            "head_bytes": limits.head,
            "head_fields": limits.fields,
            "target_bytes": limits.target,
            "head_timeout_ms": limits.head_timeout,
            "idle_timeout_ms": limits.idle_timeout,
            "connections": limits.connections,
            "connections_per_address": limits.connections_per_address,
            "http2_streams": limits.http2.streams,
            "http2_resets": limits.http2.resets,
            "http2_control_frames": limits.http2.control_frames,
        },
    }


def _listener_tls(tls: ListenerTls, check: Check, files: Files) -> dict[str, Any]:
    certificates = []
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, one) is not None and getattr(tls, other) is None:
            check.problem(("tls",), "missing", f"`{other}` is missing; it goes with `{one}`")
    if tls.certificate is not None and tls.key is not None:
        certificates.append(_certified_key(tls.certificate, tls.key, ("certificate", "key"), check, files, ("tls",)))
    for index, pair in enumerate(tls.certificates):
        path = ("tls", "certificates", index)
        certificates.append(_certified_key(pair.certificate, pair.key, ("certificate", "key"), check, files, path))
    if not certificates and tls.certificate is None and tls.key is None:
        check.problem(
            ("tls",),
            "missing",
            "`certificate` is missing",
            "write `certificate` and `key`, or a list of `certificates`",
        )
    if tls.client_certificates != "none" and tls.client_ca is None:
        check.problem(("tls",), "missing", "`client_ca` is missing; client certificates are checked against it")
    if tls.client_certificates == "none" and tls.client_ca is not None:
        hint = "write `client_certificates: required` or `optional`"
        check.problem(("tls", "client_ca"), "bad_value", "clients are not asked for certificates", hint)
    return {
        "certificates": certificates,
        "minimum_version": tls.minimum_version,
        "client_certificates": tls.client_certificates,
        "client_ca": None
        if tls.client_ca is None
        else files.pem(tls.client_ca, "CERTIFICATE", check, ("tls", "client_ca")),
    }


def _certified_key(
    certificate: str, key: str, names: tuple[str, str], check: Check, files: Files, path: Path
) -> dict[str, str]:
    return {
        "certificate": files.pem(certificate, "CERTIFICATE", check, (*path, names[0])),
        "key": files.pem(key, "PRIVATE KEY", check, (*path, names[1])),
    }


def plan_service(service: Service, check: Check, files: Files) -> dict[str, Any]:
    """A service as the engine takes it."""
    targets, host, base, tls_wanted, server_name = _targets(service, check)
    if service.host is not None and (service.url is not None or service.upstream is not None):
        host = service.host
        if addresses.host_port(host, 80, check, ("host",)) is None:
            host = ""
    tls = None
    if tls_wanted:
        tls = service_tls(service.tls or ServiceTls(), server_name, check, files)
    elif service.tls is not None:
        check.problem(
            ("tls",),
            "bad_value",
            "TLS options have no effect on a plain `http` or `unix` url",
            "write `https://` in the `url`",
        )
    return {
        "name": service.name,
        "targets": targets,
        **(service.upstream or ONE).plan(check, ("upstream",)),
        "health_check": None
        if service.upstream is None
        else service.upstream.health_check.plan(host, service.protocol, check, ("upstream", "health_check")),
        "host": host,
        "base_path": base,
        "protocol": "h2" if service.protocol == "h2" else "http1",
        "tls": tls,
        "calling": plan_calling(service, check),
        "connect_timeout_ms": service.connect_timeout,
        "read_timeout_ms": service.read_timeout,
        "write_timeout_ms": service.write_timeout,
        "pool": {"max_idle": service.pool.max_idle, "idle_timeout_ms": service.pool.idle_timeout},
    }


def _targets(service: Service, check: Check) -> tuple[list[dict[str, Any]], str, str, bool, str]:
    """Targets, `Host`, base path, whether TLS is wanted, and the host of the first target."""
    if service.url is not None:
        for name in ("upstream", "path", "port"):
            if getattr(service, name) is not None:
                check.problem((name,), "bad_value", f"`{name}` and `url` exclude each other")
        url = addresses.url(service.url, check, ("url",))
        if url is None:
            return [], "", "", False, ""
        if url.unix is not None:
            return [only_target(f"unix:{url.unix}")], "localhost", "", False, ""
        default = 443 if url.tls else 80
        host = url.host if url.port == default else f"{url.host}:{url.port}"
        return [only_target(f"{url.host}:{url.port}")], host, url.path, url.tls, url.host
    base = addresses.base_path(service.path or "", check, ("path",))
    tls = service.protocol == "https" or service.tls is not None
    if service.upstream is not None:
        if service.port is not None:
            check.problem(
                ("port",), "bad_value", "`port` and `upstream` exclude each other", "write the port into each target"
            )
        return _pool(service, check, base, tls)
    if service.host is None:
        check.problem(
            (), "missing", "`url` is missing", "write `url: http://host:port`, or `upstream: {targets: [...]}`"
        )
        return [], "", "", tls, ""
    default = 443 if tls else 80
    authority = addresses.host_port(f"{service.host}:{service.port or default}", default, check, ("host",))
    if authority is None:
        return [], "", base, tls, ""
    host = authority[0] if authority[1] == default else f"{authority[0]}:{authority[1]}"
    return [only_target(f"{authority[0]}:{authority[1]}")], host, base, tls, authority[0]


def _pool(service: Service, check: Check, base: str, tls: bool) -> tuple[list[dict[str, Any]], str, str, bool, str]:
    default = 443 if tls else 80
    targets = _members(service.upstream, service.name, default, check) if service.upstream else []
    named = (target["address"] for target in targets if target["address"] and not target["address"].startswith("unix:"))
    first = next(named, "")
    name = first.rpartition(":")[0]
    return targets, (name if first == f"{name}:{default}" else first) or "localhost", base, tls, name


def _members(upstream: Upstream, service: str, default_port: int, check: Check) -> list[dict[str, Any]]:
    """The targets of the document, then those of its file."""
    path = ("upstream",)
    if upstream.targets_file is None:
        if not upstream.targets:
            hint = "write `targets: [{address: ...}]`"
            check.problem((*path, "targets"), "missing", "the upstream has no `targets` and no `targets_file`", hint)
        return plan_targets(upstream.targets, default_port, check, path)
    written = Check()
    planned = plan_targets(upstream.targets, default_port, written, path)
    check.findings += written.findings
    if written.findings:
        return planned
    file = TargetsFile(check.files.named(upstream.targets_file), tuple(upstream.targets), default_port)
    planned, problems = file.read()
    for problem in problems:
        where = f"{quote(upstream.targets_file)}{f':{problem.line}' if problem.line else ''}"
        message = f"{where}: {f'{problem.path}: ' if problem.path else ''}{problem.message}"
        check.problem((*path, "targets_file"), problem.code.removeprefix("config."), message, problem.hint)
    check.implied.target_files[service] = replace(file, loaded=planned)
    return planned


def service_tls(tls: ServiceTls, server_name: str, check: Check, files: Files) -> dict[str, Any]:
    """TLS to a server as the engine takes it; `server_name` is asked for unless the options name another."""
    name = server_name.strip("[]")
    if tls.server_name is not None:
        authority = addresses.host_port(tls.server_name, 443, check, ("tls", "server_name"))
        name = authority[0] if authority else ""
    elif not name:
        check.problem(("tls",), "missing", "`server_name` is missing; no target has a host name")
    client = None
    for one, other in (("client_certificate", "client_key"), ("client_key", "client_certificate")):
        if getattr(tls, one) is not None and getattr(tls, other) is None:
            check.problem(("tls",), "missing", f"`{other}` is missing; it goes with `{one}`")
    if tls.client_certificate is not None and tls.client_key is not None:
        names = ("client_certificate", "client_key")
        client = _certified_key(tls.client_certificate, tls.client_key, names, check, files, ("tls",))
    return {
        "verify": tls.verify,
        "ca": None if tls.ca is None else files.pem(tls.ca, "CERTIFICATE", check, ("tls", "ca")),
        "server_name": name,
        "client": client,
    }


def plan_route(route: Route, check: Check, scope: Scope) -> dict[str, Any]:
    """A route as the engine takes it."""
    patterns = _paths(route.paths, check)
    check.paths = list(route.paths)
    for name in scope.used:
        check.capture(name, ("service",))
    return {
        "name": route.name,
        "hosts": [addresses.route_host(host, check, ("hosts", index)) for index, host in enumerate(route.hosts)],
        "paths": patterns,
        "methods": [_method(method, check, ("methods", index)) for index, method in enumerate(route.methods)],
        "headers": plan_fields(route.headers, check, ("headers",), header=True),
        "query": plan_fields(route.query, check, ("query",)),
        "cookies": plan_fields(route.cookies, check, ("cookies",)),
        "action": _action(route, check, scope),
        "timeout_ms": route.timeout,
        "body_bytes": route.max_body,
        "priority": route.priority,
        "policies": scope.over(route.policies.plan(check, ("policies",))),
    }


def _paths(texts: Iterable[str], check: Check) -> list[paths.Pattern]:
    """The patterns; as a side effect `check` learns what all of them capture."""
    patterns = []
    captures: frozenset[str] | None = None
    for index, text in enumerate(texts):
        parsed = paths.parse(text)
        for message, hint in parsed.problems:
            check.problem(("paths", index), "bad_path", message, hint)
        captures = parsed.captures if captures is None else captures & parsed.captures
        patterns.append(parsed.plan)
    check.captures = captures or frozenset()
    return patterns


def _method(method: str, check: Check, path: Path) -> str:
    if not TOKEN.fullmatch(method):
        check.problem(path, "bad_value", f"{quote(method)} is not a method")
    return method.upper()


def _action(route: Route, check: Check, scope: Scope) -> dict[str, Any] | None:
    chosen = [name for name in ACTIONS if getattr(route, name) is not None]
    if not chosen:
        known = ", ".join(f"`{name}`" for name in ACTIONS)
        check.problem((), "missing", "the route has no action", f"write one of {known}")
        return None
    for other in chosen[1:]:
        check.problem((other,), "bad_value", f"a route has one action; this one has `{chosen[0]}` already")
    if chosen[0] != "service" and route.canary is not None:
        check.problem(("canary",), "bad_value", f"`canary` goes with `service`, not with `{chosen[0]}`")
    if chosen[0] not in ("service", "split"):
        for name in PROXY_OPTIONS:
            if name in route.model_fields_set and (chosen[0], name) != ("app", "strip_path"):
                check.problem((name,), "bad_value", f"`{name}` goes with `service`, not with `{chosen[0]}`")
    called = _call(route, check, scope)
    if called is not None:
        return called if route.mirror is None else route.mirror.plan(called, check)
    if route.mirror is not None:
        check.problem(("mirror",), "bad_value", f"`mirror` goes with `service` or `split`, not with `{chosen[0]}`")
    if route.compose is not None:
        return plan_compose(route.compose, route, check, scope.calling_of)
    if route.respond is not None:
        return route.respond.plan(check, ("respond",))
    if route.redirect is not None:
        return route.redirect.plan(check, ("redirect",))
    if route.app is not None:
        return plan_app(route.app, route.strip_path, check, ("app",))
    return plan_handler(route.handler, check, ("handler",), frozenset(check.captures or ()))


def _call(route: Route, check: Check, scope: Scope) -> dict[str, Any] | None:
    """The action of a route with a service, or several."""
    if route.service is not None:
        if route.canary is not None:
            return route.canary.plan(route, check, scope.calling)
        return plan_proxy(route, str(route.service), check, scope.calling)
    return None if route.split is None else route.split.plan(route, check, scope.calling)
