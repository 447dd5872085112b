"""Those who compose: Lura (the engine of KrakenD), Fastify with undici, FastAPI with httpx, and aiohttp.

Each asks for the order first, then for its user, its two products and its shipment at once, and answers with all of
them. Lura's community form has no such graph: it asks one after another (`sequential`), and cannot look into an array,
so that the order names its products once more as `first` and `second`.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from benchmarks import toolbox
from benchmarks.peers.peer import ask_version
from benchmarks.peers.uvicorn import OPTIONS
from benchmarks.places import BENCHMARKS, PEER_PYTHON, REPOSITORY
from benchmarks.workload import HOST, Launch, Site, Workload

APPLICATIONS = BENCHMARKS / "applications"
SERVING = [option for option in OPTIONS if option not in ("--lifespan", "off")]
"""The application opens its client in its lifespan."""


@dataclass(frozen=True)
class Lura:
    name: str = "lura"

    def missing(self) -> str | None:
        return None if toolbox.has("lura") else "Go, to build benchmarks/applications/lura"

    def version(self) -> str:
        return ask_version(["cat", APPLICATIONS / "lura" / "go.mod"], r"lura/v2 v(\S+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        file = site.folder / "krakend.json"
        file.write_text(json.dumps(_krakend(site), indent=2))
        # One core is what it is given; it would start a thread for each of the machine's otherwise.
        return Launch([toolbox.command("lura"), str(file), str(site.port)], {"GOMAXPROCS": "1"})


def _krakend(site: Site) -> dict[str, Any]:
    def backend(group: str, pattern: str) -> dict[str, Any]:
        return {"host": [f"http://{site.upstream}"], "url_pattern": pattern, "group": group}

    sequential = {"github.com/devopsfaith/krakend/proxy": {"sequential": True}}
    return {
        "version": 3,
        "timeout": "10s",
        "max_idle_connections_per_host": 256,
        "disable_compression": True,
        "endpoints": [
            {
                "endpoint": "/api/v1/order-details/{order_id}",
                "extra_config": sequential,
                "backend": [
                    backend("order", "/orders/{order_id}"),
                    backend("user", "/users/{resp0_order.userId}"),
                    backend("product1", "/products/{resp0_order.first}"),
                    backend("product2", "/products/{resp0_order.second}"),
                    backend("shipment", "/shipments/{order_id}"),
                ],
            }
        ],
    }


@dataclass(frozen=True)
class Fastify:
    name: str = "fastify"

    def missing(self) -> str | None:
        return None if toolbox.FASTIFY.joinpath("node_modules").exists() else "Node.js 20 and npm"

    def version(self) -> str:
        return ask_version(["cat", APPLICATIONS / "fastify" / "package.json"], r'"fastify": "([^"]+)"')

    def launch(self, workload: Workload, site: Site) -> Launch:
        server = str(toolbox.FASTIFY / "server.js")
        environment = {"NODE_ENV": "production", "UV_THREADPOOL_SIZE": "1"}
        return Launch([toolbox.command("node"), server, str(site.port), site.upstream], environment)


@dataclass(frozen=True)
class FastApi:
    name: str = "fastapi"

    def missing(self) -> str | None:
        return None if PEER_PYTHON.exists() else "PyPI packages `fastapi httpx uvicorn`"

    def version(self) -> str:
        return ask_version([PEER_PYTHON, "-c", "import fastapi; print(fastapi.__version__)"], r"(\S+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        application = f"{BENCHMARKS.name}.applications.composed_fastapi:app"
        where = ["--host", HOST, "--port", str(site.port), "--app-dir", str(REPOSITORY)]
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "UPSTREAM": site.upstream}
        return Launch([str(PEER_PYTHON), "-m", "uvicorn", application, *where, *SERVING], environment)


@dataclass(frozen=True)
class Aiohttp:
    name: str = "aiohttp"

    def missing(self) -> str | None:
        return None if PEER_PYTHON.exists() else "PyPI package `aiohttp`"

    def version(self) -> str:
        return ask_version([PEER_PYTHON, "-c", "import aiohttp; print(aiohttp.__version__)"], r"(\S+)")

    def launch(self, workload: Workload, site: Site) -> Launch:
        program = str(APPLICATIONS / "composed_aiohttp.py")
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ.get("PATH", "")}
        return Launch([str(PEER_PYTHON), program, str(site.port), site.upstream], environment)
