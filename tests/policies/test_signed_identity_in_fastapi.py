"""The FastAPI service of the page of `signed_identity`, under uvicorn, behind a gateway and without one."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvicorn
from tidegate._native import make_signing_key

from tests.conftest import StartGateway, StartUpstream
from tests.harness import DEADLINE, FakeUpstream, RunningGateway, eventually

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies" / "signed_identity.md"


class Scene:
    def __init__(self, gateway: RunningGateway, echo: FakeUpstream, listener: socket.socket) -> None:
        self.gateway = gateway
        self.echo = echo
        self.service: tuple[str, int] = listener.getsockname()

    def token(self) -> str:
        """A token of the gateway's, as a service of it gets one."""
        self.gateway.get("/echo")
        token = self.echo.last.header("x-jwt-assertion")
        assert token is not None
        return token

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
    echo = upstream()
    auth = upstream().answer("HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n")
    issuer = "https://gateway.example"
    running = gateway(
        {
            "services": [
                {"name": "orders", "url": f"http://{host}:{port}"},
                {"name": "carts", "url": f"http://{host}:{port}"},
                {"name": "echo", "url": echo.url},
                {"name": "auth", "url": auth.url},
            ],
            "policies": {
                "forward_auth": {"service": "auth", "claims": {"sub": "x-user"}},
                "signed_identity": {"issuer": issuer, "keys": [make_signing_key("ES256"), make_signing_key("ES256")]},
            },
            "routes": [
                {"name": "orders", "paths": ["/orders"], "service": "orders", "strip_path": False},
                {"name": "echo", "paths": ["/echo"], "service": "echo"},
                {"name": "carts", "paths": ["/carts"], "service": "carts", "rewrite": "/orders"},
            ],
        }
    )
    names: dict[str, Any] = {"__name__": "orders"}
    # The name of the gateway leads nowhere from here, so only its keys are asked for where it really is.
    exec("\n".join(programs()).replace("https://gateway.example/", f"{running.url}/"), names)
    server = uvicorn.Server(uvicorn.Config(names["app"], log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    eventually(lambda: server.started, "uvicorn")
    yield Scene(running, echo, listener)
    server.should_exit = True
    thread.join(DEADLINE)
    listener.close()


def programs() -> list[str]:
    """What the page shows: the check, and a service that uses it."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_check_is_ten_lines() -> None:
    check, _ = programs()
    assert len([line for line in check.splitlines() if line.strip()]) == 10


def test_a_token_that_says_less_than_it_must_or_is_signed_otherwise_is_refused(scene: Scene) -> None:
    keys = [make_signing_key("ES256"), make_signing_key("EdDSA")]
    good = {"iss": "https://gateway.example", "aud": "orders", "sub": "ann", "exp": int(time.time()) + 60}
    for key, algorithm in zip(keys, ("ES256", "EdDSA"), strict=True):
        assert scene.directly(x_jwt_assertion=jwt.encode(good, key, algorithm)) == 401
    assert scene.directly(x_jwt_assertion=jwt.encode(good, "s" * 32, "HS256")) == 401
    assert scene.directly(x_jwt_assertion=jwt.encode(good, "", "none")) == 401
    own = scene.gateway.server.loaded.written()["policies"]["signed_identity"]["keys"][0]
    head = {"kid": jwt.get_unverified_header(scene.token())["kid"]}
    assert scene.directly(x_jwt_assertion=jwt.encode(good, own, "ES256", head)) == 200
    for change in ({"iss": "x"}, {"aud": "carts"}, {"exp": int(time.time()) - 60}, {"sub": None}, {"exp": None}):
        claims = {name: value for name, value in {**good, **change}.items() if value is not None}
        assert scene.directly(x_jwt_assertion=jwt.encode(claims, own, "ES256", head)) == 401, change


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
