"""Cuts a document off from everything around it: ports, services, Redis, the store, files of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json, to_json

from tidegate.config import Loaded
from tidegate.store.url import DEFAULT_STORE, StoreUrl
from tidegate.testing.tokens import believe, issuers

Kept = Literal["redis", "store", "admin", "access_log", "health_checks", "issuers"]
"""What may stay as the document has it."""

ANY_PORT = "127.0.0.1:0"


def cut_off(
    loaded: Loaded,
    services: Mapping[str, tuple[str, int]],
    folder: Path,
    keep: Collection[Kept] = (),
    access_log: Path | None = None,
) -> Loaded:
    """The same document for a test.

    Listeners get ports of the system's choice on loopback. `services` are where those addresses say, without TLS and
    without health checks. Nothing is counted in Redis, and the store is an empty one in `folder`.
    `access_log`: a file for it.
    """
    plan: dict[str, Any] = from_json(loaded.plan)
    changes: dict[str, Any] = {}
    for listener in plan["listeners"]:
        listener["address"] = ANY_PORT
    for service in plan["services"]:
        if service["name"] in services:
            _stand_in(service, services[service["name"]], checked="health_checks" in keep)
    changes["target_files"] = {name: file for name, file in loaded.target_files.items() if name not in services}
    if "redis" not in keep and plan["redis"] is not None:
        plan["redis"] = None
        _count_here(plan)
    if "issuers" not in keep:
        for issuer in issuers([plan["routes"], plan["policies"], plan["consumers"]]):
            believe(issuer)
    if "access_log" not in keep:
        plan["access_log"] = "off" if access_log is None else {"file": str(access_log)}
    if "admin" not in keep:
        changes["admin"] = None
    if "store" not in keep:
        url = StoreUrl.parse(DEFAULT_STORE, folder)
        changes["usage_store"] = url
        if loaded.store is not None:
            changes["store"] = dataclasses.replace(loaded.store, url=url)
    moved = {keys.file: str(folder / f"keys-{number}") for number, keys in enumerate(loaded.signing)}
    changes["signing"] = tuple(dataclasses.replace(keys, file=moved[keys.file]) for keys in loaded.signing)
    return dataclasses.replace(loaded, plan=to_json(_moved(plan, moved) if moved else plan), **changes)


def _stand_in(service: dict[str, Any], address: tuple[str, int], *, checked: bool) -> None:
    host, port = address
    service["targets"] = [{"address": f"{host}:{port}", "weight": 1, "priority": 0, "resolve": "one"}]
    service["tls"] = None
    service["protocol"] = "http1"
    if service["health_check"] is not None and not checked:
        service["health_check"]["active"] = None


def _count_here(value: Any) -> None:
    """Has all that would ask Redis count in memory."""
    if isinstance(value, dict):
        if value.get("store") == "redis":
            value["store"] = "local"
        if (breaker := value.get("circuit_breaker")) is not None:
            breaker["share"] = False
        for inner in value.values():
            _count_here(inner)
    elif isinstance(value, list):
        for inner in value:
            _count_here(inner)


def _moved(value: Any, files: Mapping[str, str]) -> Any:
    """The plan with other names for files of keys."""
    if isinstance(value, dict):
        return {key: _moved(inner, files) for key, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, files) for inner in value]
    return files.get(value, value) if isinstance(value, str) else value
