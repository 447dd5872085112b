"""`examples/grpc` does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.grpc import greeter
from tests.harness import start

EXAMPLE = Path(__file__).parents[2] / "examples" / "grpc" / "gateway.yaml"


def test_the_example_greets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server, port = greeter.server("127.0.0.1:0")
    monkeypatch.setenv("GREETER", f"127.0.0.1:{port}")
    monkeypatch.setenv("LISTEN", "127.0.0.1:0")
    running = start(EXAMPLE, tmp_path)
    try:
        host, gateway_port = running.address()
        said = greeter.call(f"{host}:{gateway_port}")
        assert said == ["hello Ada, trailers {'x-greeted': 'Ada'}", "hello Grace", "hello Edsger"]
    finally:
        running.stop()
        server.stop(0)
