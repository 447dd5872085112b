"""Clients that people have: curl and h2load; and what all clients of HTTP/2 rely on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate import Gateway, Listener, Respond, Route

from tests.harness import RunningGateway, serving
from tests.http2.raw import Raw
from tests.tls.certificates import Authority

MIB = 1 << 20


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is absent")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("clients")))


@pytest.fixture(scope="module")
def served(authority: Authority) -> Iterator[RunningGateway]:
    issued = authority.issue("localhost", "127.0.0.1")
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)}
    gateway = Gateway(
        listeners=[
            Listener(name="h2c", address="127.0.0.1:0"),
            Listener.model_validate({"name": "tls", "address": "127.0.0.1:0", "tls": tls}),
            Listener(name="http1", address="127.0.0.1:0", http2=False),
        ],
        routes=[Route(name="hello", paths=["/"], respond=Respond(body="hello {request.scheme}"))],
    )
    with serving(gateway) as served:
        yield served


def curl(served: RunningGateway, listener: str, *options: str) -> str:
    host, port = served.address(listener)
    url = f"{'https' if listener == 'tls' else 'http'}://{host}:{port}/"
    command = ["curl", "-sS", "--max-time", "10", "-w", " over %{http_version}", *options, url]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@needs("curl")
def test_curl_speaks_http2(served: RunningGateway, authority: Authority) -> None:
    ca = str(authority.file)
    assert curl(served, "tls", "--cacert", ca) == "hello https over 2"
    assert curl(served, "tls", "--cacert", ca, "--http1.1") == "hello https over 1.1"
    assert curl(served, "h2c", "--http2-prior-knowledge") == "hello http over 2"
    # RFC 9113 section 3.1: the upgrade from HTTP/1.1 is retired; the request is answered as it is.
    assert curl(served, "h2c", "--http2") == "hello http over 1.1"


@needs("h2load")
@pytest.mark.parametrize("listener", ["h2c", "tls"])
def test_h2load_gets_every_answer(served: RunningGateway, listener: str) -> None:
    host, port = served.address(listener)
    url = f"{'https' if listener == 'tls' else 'http'}://{host}:{port}/"
    done = subprocess.run(
        ["h2load", "-n", "2000", "-c", "10", "-m", "50", url], capture_output=True, text=True, check=True
    )
    assert "2000 succeeded, 0 failed, 0 errored" in done.stdout


def test_a_listener_without_http2_does_not_speak_it(served: RunningGateway) -> None:
    with Raw(served.address("http1")) as raw:
        assert raw.socket.recv(4096).startswith(b"HTTP/1.1 505 ")
