"""Servers and clients that others wrote: nginx, a FastAPI app under uvicorn, curl, a WebSocket client."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.harness import DEADLINE, RunningGateway, eventually

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CURL = shutil.which("curl")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")

LARGE = bytes(range(256)) * (64 << 10)
"""16 MiB."""


def document(url: str, **service: object) -> dict[str, object]:
    return {
        "services": [{"name": "service", "url": url, **service}],
        "routes": [{"name": "all", "paths": ["/"], "service": "service", "max_body": 64 << 20}],
    }


def accepts(address: tuple[str, int] | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as channel:
        return channel.connect_ex(address) == 0


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Path]:
    """nginx on a UNIX socket, which needs no port to be chosen; serves files, and takes uploads."""
    assert NGINX is not None
    (tmp_path / "large").write_bytes(LARGE)
    (tmp_path / "small.html").write_text("<p>small</p>")
    path = tmp_path / "nginx.sock"
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(f"""
        daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log stderr error;
        events {{}}
        http {{
            access_log off; default_type text/html; client_max_body_size 64m;
            gzip on; gzip_min_length 1; gzip_proxied any;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/f;
            uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{
                listen unix:{path};
                location / {{ root {tmp_path}; }}
                location /old {{ keepalive_timeout 0; return 200 "closed"; }}
                location /refuse {{ client_max_body_size 1k; return 200 "taken"; }}
            }}
        }}
    """)
    process = subprocess.Popen([NGINX, "-c", str(configuration), "-p", str(tmp_path)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: accepts(str(path)), "nginx")
        yield path
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


@pytest.fixture(scope="module")
def fastapi() -> Iterator[str]:
    """The app under uvicorn, on a port that the system chose."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    listener = socket.create_server(("127.0.0.1", 0))
    arguments = ["--fd", str(listener.fileno()), "--log-level", "critical", "tests.proxying.services:app"]
    process = subprocess.Popen([sys.executable, "-m", "uvicorn", *arguments], pass_fds=[listener.fileno()])
    port = listener.getsockname()[1]
    listener.close()
    try:
        eventually(lambda: accepts(("127.0.0.1", port)), "uvicorn")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(DEADLINE)


def curl(*arguments: str, data: bytes = b"") -> bytes:
    assert CURL is not None
    command = [CURL, "--silent", "--show-error", "--max-time", str(int(DEADLINE)), *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@needs_nginx
def test_nginx_serves_files_ranges_and_conditions(gateway: StartGateway, nginx: Path) -> None:
    running = gateway(document(f"unix:{nginx}"))
    assert hashlib.sha256(running.get("/large").body).digest() == hashlib.sha256(LARGE).digest()
    part = running.get("/large", headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, LARGE[1000:2000])
    small = running.get("/small.html")
    again = running.get("/small.html", headers={"If-None-Match": small.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    head = running.request("HEAD", "/large")
    assert (head.headers["content-length"], head.body) == (str(len(LARGE)), b"")
    packed = running.get("/small.html", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert running.get("/missing").status == 404


@needs_nginx
def test_nginx_refuses_early_and_closes_when_it_says_so(gateway: StartGateway, nginx: Path) -> None:
    running = gateway(document(f"unix:{nginx}"))
    assert [running.get("/old").text for _ in range(5)] == ["closed"] * 5
    assert running.post("/refuse", b"x" * 100_000).status == 413
    assert running.get("/small.html").status == 200


@needs_nginx
@needs_curl
def test_curl_through_the_gateway_to_nginx(gateway: StartGateway, nginx: Path) -> None:
    running = gateway(document(f"unix:{nginx}"))
    assert curl(running.url + "/small.html") == b"<p>small</p>"
    assert curl("--http1.0", running.url + "/small.html") == b"<p>small</p>"
    assert curl("--compressed", running.url + "/small.html") == b"<p>small</p>"
    assert b"200" in curl("-I", "-w", "%{http_code}", running.url + "/large")
    both = curl(running.url + "/small.html", running.url + "/small.html", "-w", "%{num_connects}")
    assert both == b"<p>small</p>1<p>small</p>0", "the connection is used again"


def test_fastapi_gets_requests_as_they_were(gateway: StartGateway, fastapi: str) -> None:
    running = gateway(document(fastapi))
    answer = running.get("/items/7?q=a%20b")
    host = fastapi.removeprefix("http://")
    assert answer.json() == {"item": 7, "q": "a b", "host": host, "for": "127.0.0.1"}
    assert running.get("/items/seven").status == 422
    assert running.request("DELETE", "/items/7").status == 204
    assert running.get("/fail").status == 500
    assert running.get("/docs").status == 200


def test_fastapi_streams_both_ways(gateway: StartGateway, fastapi: str) -> None:
    running = gateway(document(fastapi))
    assert running.post("/upload", LARGE).json() == {"bytes": len(LARGE)}
    assert running.get("/stream/1000").text == "".join(f"data: {number}\n\n" for number in range(1000))


@needs_curl
@pytest.mark.parametrize("expect", [(), ("-H", "Expect: 100-continue")])
@pytest.mark.parametrize("framing", [(), ("-H", "Transfer-Encoding: chunked")])
def test_curl_uploads_to_fastapi(
    gateway: StartGateway, fastapi: str, expect: tuple[str, ...], framing: tuple[str, ...]
) -> None:
    running = gateway(document(fastapi))
    answer = curl("--data-binary", "@-", *expect, *framing, running.url + "/upload", data=LARGE)
    assert answer == b'{"bytes":%d}' % len(LARGE)


def test_a_websocket_client_talks_to_fastapi(gateway: StartGateway, fastapi: str) -> None:
    client = pytest.importorskip("websockets.sync.client")
    running: RunningGateway = gateway(document(fastapi))
    url = running.url.replace("http://", "ws://") + "/ws"
    with client.connect(url, subprotocols=["chat"], open_timeout=DEADLINE) as socket:
        assert socket.subprotocol == "chat"
        for text in ("hello", "x" * 200_000, "ä"):
            socket.send(text)
            assert socket.recv(DEADLINE) == text.upper()
        assert socket.ping().wait(DEADLINE), "a pong"
