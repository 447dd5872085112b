"""TLS between the gateway and services."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tidegate import Gateway, Route, Service

from tests.conftest import StartGateway, StartUpstream
from tests.harness import Connection, serving
from tests.tls.certificates import Authority, Issued


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Handshakes that fail are the point."""


@contextmanager
def secured(issued: Issued, asks: Authority | None = None) -> Iterator[int]:
    """A service with that certificate, which asks for one of the authority's when there is one."""
    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(asks.file)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def ask(port: int, **options: Any) -> str:
    """The body of a service's answer, or the code of the failure."""
    protocol = options.pop("protocol", "http1")
    settings = {
        "name": "secured",
        "url": f"https://127.0.0.1:{port}",
        "tls": options,
        "protocol": protocol,
        "retries": 0,
    }
    service = Service.model_validate(settings)
    with serving(Gateway(services=[service], routes=[Route(name="all", paths=["/"], service="secured")])) as served:
        client = http.client.HTTPConnection(*served.address(), timeout=10)
        client.request("GET", "/")
        answer = client.getresponse()
        body = answer.read().decode()
        client.close()
    return body if answer.status == 200 else body.split('"code":"')[1].split('"')[0]


def test_a_trusted_service_is_called(authority: Authority, localhost: Issued) -> None:
    with secured(localhost) as port:
        assert ask(port, ca=str(authority.file)) == "secret"


def test_a_service_is_called_by_the_name_it_has(authority: Authority) -> None:
    with secured(authority.issue("orders.test")) as port:
        assert ask(port, ca=str(authority.file), server_name="orders.test") == "secret"


@pytest.mark.parametrize("name", ["wrong_name", "expired", "unknown_authority"])
def test_a_service_that_cannot_be_verified_gets_no_request(authority: Authority, tmp_path: Path, name: str) -> None:
    issued = {
        "wrong_name": lambda: authority.issue("other.test"),
        "expired": lambda: authority.issue("127.0.0.1", expired=True),
        "unknown_authority": lambda: Authority(tmp_path, "foreign").issue("127.0.0.1"),
    }[name]()
    with secured(issued) as port:
        assert ask(port, ca=str(authority.file)) == "upstream_tls_failed"
        assert ask(port, verify=False) == "secret"


def test_a_certificate_is_shown_to_a_service_that_asks(authority: Authority, localhost: Issued) -> None:
    client = authority.issue("gateway.test")
    with secured(localhost, asks=authority) as port:
        shown = {"client_certificate": str(client.certificate), "client_key": str(client.key)}
        assert ask(port, ca=str(authority.file), **shown) == "secret"
        assert ask(port, ca=str(authority.file)) in ("upstream_tls_failed", "upstream_reset", "upstream_closed")


def test_a_service_without_http2_is_a_failure_where_http2_is_asked_for(authority: Authority, localhost: Issued) -> None:
    with secured(localhost) as port:
        assert ask(port, ca=str(authority.file), protocol="h2") == "upstream_tls_failed"


def test_a_port_that_does_not_speak_tls_is_named_in_the_log(
    gateway: StartGateway, upstream: StartUpstream, tmp_path: Path
) -> None:
    def play(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        connection.hang()

    log = tmp_path / "access.log"
    service = {"name": "s", "url": upstream().script(play).url.replace("http:", "https:"), "retries": 0}
    running = gateway(
        {"access_log": {"file": str(log)}, "services": [service], "routes": [{"name": "r", "service": "s"}]}
    )
    assert running.get("/").code == "upstream_tls_failed"
    running.stop()
    assert "the handshake broke off: what it answers is not TLS" in log.read_text()
