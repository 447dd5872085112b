"""`examples/tls` does what it says."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartUpstream
from tests.harness import start

EXAMPLE = Path(__file__).parents[2] / "examples" / "tls"


def test_the_example_is_encrypted_on_both_sides(
    monkeypatch: pytest.MonkeyPatch, upstream: StartUpstream, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates"
    subprocess.run([EXAMPLE / "make-certificates.sh", folder], check=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
    internal = upstream(tls=served)
    monkeypatch.setenv("CERTIFICATES", str(folder))
    monkeypatch.setenv("LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("INTERNAL", ":".join(map(str, internal.address)))
    running = start(EXAMPLE / "gateway.yaml", tmp_path)
    try:
        client = ssl.create_default_context(cafile=folder / "ca.pem")
        assert running.get("/", tls=client).text == "hello over https\n"
        assert running.get("/internal", tls=client).text == "ok"
    finally:
        running.stop()
