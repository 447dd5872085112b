"""What an export of Kong carries beside what means something here.

A value that changes nothing is taken and dropped. One that would make Kong do something else is refused, with what to
write instead: to ignore it could leave a route open that was closed.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, NamedTuple

from tidegate.config.problem import Finding, quote


class _Key(NamedTuple):
    """A key of Kong's."""

    takes: Callable[[Any, dict[str, Any]], bool]
    """Whether a value, in its mapping, changes nothing."""
    only: str
    """What does, in words."""
    hint: str


def _anything(_: object, __: object) -> bool:
    return True


def _only(*values: object) -> Callable[[object, object], bool]:
    return lambda value, _: any(value == known and type(value) is type(known) for known in values)


def _empty(value: object, _: object) -> bool:
    return value == [] or value == {}


def _http_and_https(value: object, _: object) -> bool:
    return isinstance(value, list) and sorted(map(str, value)) == ["http", "https"]


def _joins_alike(value: object, route: dict[str, Any]) -> bool:
    """Kong's ways of joining two paths differ where a path ends in `/`, or what it matched does not end a segment."""
    paths = route.get("paths") or ()
    paths = (paths,) if isinstance(paths, str) else paths
    plain = all(isinstance(path, str) and not path.startswith("~") and not path[1:].endswith("/") for path in paths)
    return value == "v0" or (value == "v1" and plain)


def _without_defaults(value: object, _: object) -> bool:
    return isinstance(value, dict) and not value.get("defaults")


_MARK = _Key(_anything, "", "names are what identifies things here; leave it out")
_PLUGINS = "Kong's plugins are written as `policies` here; see the list of policies in the reference"
_STREAMS = "bodies always stream here; a service that needs the whole body at once has to wait for it itself"
_MARKS = dict.fromkeys(("id", "created_at", "updated_at", "ws_id"), _MARK)

_GATEWAY = {
    "_transform": _Key(_only(True, False), "`true` or `false`", "leave `_transform` out"),
    "_info": _Key(
        _without_defaults, "a mapping without `defaults`", "write the `defaults` into each service and route"
    ),
    **{key: _Key(_anything, "", f"leave `{key}` out") for key in ("_comment", "_ignore", "_konnect", "_workspace")},
    "plugins": _Key(_empty, "empty", _PLUGINS),
    "upstreams": _Key(_empty, "empty", "write the targets into the service: `upstream: {targets: [...]}`"),
    "certificates": _Key(_empty, "empty", "certificates belong to a listener: `listeners[].tls.certificates`"),
    "snis": _Key(_empty, "empty", "a listener chooses certificates by their own names: `listeners[].tls.certificates`"),
    "ca_certificates": _Key(_empty, "empty", "write `client_ca` at a listener's `tls`, and `ca` at a service's"),
    "consumer_groups": _Key(_empty, "empty", "there are no groups of consumers here"),
    "vaults": _Key(_empty, "empty", "secrets come by `${env:NAME}` and `${file:path}`"),
}
_SERVICE = {
    **_MARKS,
    "plugins": _Key(_empty, "empty", _PLUGINS),
    "tls_verify": _Key(
        _only(True), "`true`", "certificates are verified, unless `tls: {verify: false}` says otherwise"
    ),
    "tls_verify_depth": _Key(_only(), "left out", "the whole chain is verified, however long; leave it out"),
    "tls_sans": _Key(_empty, "empty", "write `tls: {server_name: ...}`"),
    "ca_certificates": _Key(_empty, "empty", "write `tls: {ca: file}`"),
    "client_certificate": _Key(_only(), "left out", "write `tls: {client_certificate: file, client_key: file}`"),
}
_ROUTE = {
    **_MARKS,
    "plugins": _Key(_empty, "empty", _PLUGINS),
    "protocols": _Key(
        _http_and_https,
        "`[http, https]`",
        "a route serves every listener, and gRPC too; leave `protocols` out once no listener speaks what this route "
        "must not be reached by",
    ),
    "path_handling": _Key(
        _joins_alike, "`v0`", "paths are joined as Kong's `v0` does; leave it out once that is what you want"
    ),
    "regex_priority": _Key(
        _only(0), "`0`", "the order of routes follows from how precise they are, see `tidegate routes`; leave it out"
    ),
    "https_redirect_status_code": _Key(_only(426), "`426`", "write a route with `redirect` instead"),
    "request_buffering": _Key(_only(True), "`true`", f"{_STREAMS}; leave it out"),
    "response_buffering": _Key(_only(True), "`true`", f"{_STREAMS}; leave it out"),
    "snis": _Key(_empty, "empty", "use `hosts`"),
    "sources": _Key(_empty, "empty", "there are no conditions on addresses here"),
    "destinations": _Key(_empty, "empty", "there are no conditions on addresses here"),
    "expression": _Key(_only(), "left out", "write the conditions as `hosts`, `paths`, `methods` and `headers`"),
}
_CONSUMER = {
    **_MARKS,
    "plugins": _Key(_empty, "empty", _PLUGINS),
    "username": _Key(_anything, "", "write `name`"),
    "custom_id": _Key(_only(), "left out", "write it into `tags`, or leave it out"),
}
_KEYS: dict[str, dict[str, _Key]] = {
    "gateway": _GATEWAY,
    "services": _SERVICE,
    "routes": _ROUTE,
    "consumers": _CONSUMER,
}

NAMES = {kind: tuple(keys) for kind, keys in _KEYS.items()}
"""Kong's keys by the part of the document they stand in."""


def hint(model: type | None, key: str) -> str | None:
    """What to write instead of a key of Kong's, in a mapping of our model."""
    kind = {"Gateway": "gateway", "Service": "services", "Route": "routes", "Consumer": "consumers"}
    rule = _KEYS[kind[model.__name__]].get(key) if model is not None and model.__name__ in kind else None
    return rule and rule.hint


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(entry, str | int) for entry in value):
        return quote(f"[{', '.join(str(getattr(entry, 'written', entry)) for entry in value)}]")
    return quote(value)


def taken(kind: str, data: Any, known: Container[str]) -> tuple[Any, list[Finding]]:
    """The data without Kong's keys, and findings about those that cannot be dropped. `known`: keys that are ours.

    In a service or route that has such keys, `null` means what it means to Kong, not set; one without a name goes by
    its id, and a consumer by its `username`.
    """
    keys = _KEYS.get(kind, {})
    if not isinstance(data, dict) or not any(key in keys for key in data):
        return data, []
    findings = []
    for key, value in data.items():
        rule = keys.get(key)
        if rule is not None and key not in known and value is not None and not rule.takes(value, data):
            message = f"{quote(key)} of Kong can only be {rule.only} here, got {_shown(value)}"
            findings.append(Finding((key,), "config.not_supported", message, rule.hint))
    rest = {key: value for key, value in data.items() if key in known or key not in keys}
    if kind != "gateway":
        rest = {key: value for key, value in rest.items() if value is not None}
        name = data.get("username", data.get("id"))
        if "name" not in rest and isinstance(name, str):
            rest["name"] = name
    return rest, findings
