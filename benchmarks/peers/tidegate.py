"""Tidegate as people run it: `python -m tidegate run gateway.yaml`."""

import importlib.util
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from benchmarks.peers.peer import ask_version
from benchmarks.places import REPOSITORY
from benchmarks.workload import HOST, Launch, Protocol, Site, Workload

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Tidegate:
    name: str = "tidegate"

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
        return Launch(command, {"PYTHONPATH": str(REPOSITORY)})


def _document(workload: Workload, site: Site) -> Json:
    listener: Json = {"address": f"{HOST}:{site.port}"}
    if workload.client.is_encrypted:
        listener["tls"] = {"certificate": str(site.certificate), "key": str(site.key)}
    service: Json = {"name": "service", "url": f"http://{site.upstream}"}
    if workload.upstream is Protocol.H2C:
        service["protocol"] = "h2"
    return {
        "listeners": [listener],
        "admin": {"address": f"{HOST}:{site.admin_port}"},
        "access_log": {"output": f"{site.folder}/access.log"} if workload.access_log else {"output": "none"},
        "services": [service],
        "routes": [_route(workload, number) for number in range(workload.routes)],
    }


def _route(workload: Workload, number: int) -> Json:
    route: Json = {"name": f"route-{number}", "paths": [workload.prefix(number)]}
    if workload.handler and number == 0:
        return route | {"handler": workload.handler}
    return route | {"service": "service", "preserve_host": True}
