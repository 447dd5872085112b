"""nginx as a service that speaks HTTP/2, over TLS and with prior knowledge."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate import Gateway, Route, Service

from tests.harness import RunningGateway, eventually, serving
from tests.tls.certificates import Authority

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
LARGE = 8 << 20

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is absent: apt-get install nginx-light")

CONFIGURATION = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        listen 127.0.0.1:{plain} http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        root {folder}/files;
        location = /protocol {{ return 200 "$server_protocol $http_x_thing"; }}
    }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = Path(tmp_path_factory.mktemp("nginx"))
    (folder / "files").mkdir()
    (folder / "files" / "large").write_bytes(os.urandom(1 << 16) * (LARGE >> 16))
    folder.chmod(0o755)
    authority = Authority(folder)
    issued = authority.issue("nginx.test")
    ports = {"tls": free_port(), "plain": free_port()}
    names = {"certificate": issued.certificate, "key": issued.key, "folder": folder, **ports}
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + CONFIGURATION.format(**names))
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")])
    tls = {"ca": str(authority.file), "server_name": "nginx.test"}
    gateway = Gateway(
        services=[
            Service(name="plain", url=f"http://127.0.0.1:{ports['plain']}", protocol="h2"),
            Service.model_validate(
                {"name": "tls", "url": f"https://127.0.0.1:{ports['tls']}", "protocol": "h2", "tls": tls}
            ),
        ],
        routes=[Route(name=name, paths=[f"/{name}"], service=name, strip_path=True) for name in ports],
    )
    try:
        with serving(gateway) as served:
            eventually(lambda: served.get("/plain/protocol").status == 200, "nginx")
            yield served
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("service", ["plain", "tls"])
def test_nginx_is_spoken_to_over_http2(served: RunningGateway, service: str) -> None:
    answer = served.get(f"/{service}/protocol", headers={"X-Thing": "1"})
    assert (answer.status, answer.text) == (200, "HTTP/2.0 1")


@pytest.mark.parametrize("service", ["plain", "tls"])
def test_a_large_file_arrives_whole(served: RunningGateway, service: str) -> None:
    first, second = (served.get(f"/{service}/large") for _ in range(2))
    assert len(first.body) == LARGE
    assert hashlib.sha256(first.body).digest() == hashlib.sha256(second.body).digest()
    assert first.headers["content-length"] == str(LARGE)


def test_nginx_says_what_is_not_there(served: RunningGateway) -> None:
    assert served.get("/tls/absent").status == 404
