"""The conformance suite of HTTP/2, https://github.com/summerwind/h2spec, over TLS and with prior knowledge."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tidegate import Gateway, Listener, Route, Service

from tests.harness import RunningGateway, serving
from tests.tls.certificates import Authority

H2SPEC = shutil.which("h2spec") or shutil.which("h2spec", path=os.path.expanduser("~/go/bin"))

pytestmark = pytest.mark.skipif(
    H2SPEC is None, reason="h2spec is absent: go install github.com/summerwind/h2spec/cmd/h2spec@latest"
)


class Reader(BaseHTTPRequestHandler):
    """Answers once it has read the whole request: h2spec breaks requests off and looks at what comes then."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline() or b"0", 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "200")
        self.end_headers()
        self.wfile.write(b"x" * 200)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """The gateway leaves when its client does."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    server = Quiet(("127.0.0.1", 0), Reader)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issued = Authority(Path(tmp_path_factory.mktemp("h2spec"))).issue("localhost", "127.0.0.1")
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)}
    gateway = Gateway(
        listeners=[
            Listener(name="h2c", address="127.0.0.1:0"),
            Listener.model_validate({"name": "tls", "address": "127.0.0.1:0", "tls": tls}),
        ],
        services=[Service(name="reader", url=f"http://127.0.0.1:{server.server_port}")],
        routes=[Route(name="all", paths=["/"], service="reader")],
    )
    with serving(gateway) as served:
        yield served
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("listener", ["h2c", "tls"])
def test_the_whole_of_h2spec_passes(served: RunningGateway, listener: str) -> None:
    host, port = served.address(listener)
    command = [str(H2SPEC), "--host", host, "--port", str(port), "--timeout", "5"]
    done = subprocess.run(
        command + (["--tls", "--insecure"] if listener == "tls" else []), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " 0 skipped, 0 failed" in done.stdout
