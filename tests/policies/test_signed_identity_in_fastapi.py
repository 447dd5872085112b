"""The FastAPI service of the page of `signed_identity`, under uvicorn, behind a gateway and without one."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tidegate._native import make_signing_key

from tests.conftest import StartGateway, StartUpstream
from tests.harness import DEADLINE, FakeUpstream, RunningGateway, eventually

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies" / "signed_identity.md"


class Scene:
    def __init__(self, gateway: RunningGateway, auth: FakeUpstream, listener: socket.socket) -> None:
        self.gateway = gateway
        self.auth = auth
        self.service: tuple[str, int] = listener.getsockname()

    def directly(self, **headers: str) -> int:
        """The status that whoever passes the gateway by gets."""
        connection = http.client.HTTPConnection(*self.service, timeout=DEADLINE)
        connection.request("GET", "/orders", headers={name.replace("_", "-"): value for name, value in headers.items()})
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Iterator[Scene]:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    auth = upstream().answer("HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n")
    issuer = "https://gateway.example"
    running = gateway(
        {
            "services": [
                {"name": "orders", "url": f"http://{host}:{port}"},
                {"name": "carts", "url": f"http://{host}:{port}"},
                {"name": "auth", "url": auth.url},
            ],
            "policies": {
                "forward_auth": {"service": "auth", "claims": {"sub": "x-user"}},
                "signed_identity": {"issuer": issuer, "keys": [make_signing_key("ES256"), make_signing_key("ES256")]},
            },
            "routes": [
                {"name": "orders", "paths": ["/orders"], "service": "orders", "strip_path": False},
                {"name": "carts", "paths": ["/carts"], "service": "carts", "rewrite": "/orders"},
            ],
        }
    )
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "orders"}
    # The name of the gateway leads nowhere from here, so only its keys are asked for where it really is.
    exec(program.replace('f"{GATEWAY}/', f'f"{running.url}/'), names)
    server = uvicorn.Server(uvicorn.Config(names["app"], log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    eventually(lambda: server.started, "uvicorn")
    yield Scene(running, auth, listener)
    server.should_exit = True
    thread.join(DEADLINE)
    listener.close()


def test_a_request_through_the_gateway_is_served_and_no_other(scene: Scene) -> None:
    answer = scene.gateway.get("/orders")
    assert (answer.status, answer.json()) == (200, {"orders of": "ann"})
    assert scene.directly() == 401
    assert scene.directly(x_jwt_assertion="a.b.c") == 401
    # A token for another service of the same gateway.
    assert scene.gateway.get("/carts").status == 401


def test_the_service_takes_the_next_key_because_it_was_published_before(scene: Scene) -> None:
    assert scene.gateway.get("/orders").status == 200
    written = scene.gateway.server.loaded.written()
    written["policies"]["signed_identity"]["keys"].reverse()
    scene.gateway.reload(written)
    assert scene.gateway.get("/orders").status == 200
