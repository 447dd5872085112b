"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCUMENT = """
services: [{name: orders, url: "http://orders.internal"}]
routes: [{name: orders, paths: [/api], service: orders}]
"""
CONFTEST = 'pytest_plugins = ["tidegate.testing.fixtures"]\n'


def pytest_of(folder: Path, test: str) -> str:
    (folder / "gateway.yaml").write_text(DOCUMENT)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


def test_the_fixtures_start_the_document_beside_the_tests(tmp_path: Path) -> None:
    out = pytest_of(
        tmp_path,
        "def test_it(gateway, services):\n"
        "    services.orders.get('/orders/1').returns(json={'id': 1})\n"
        "    gateway.get('/api/orders/1').expect(200, json={'id': 1})\n"
        "def test_other(start_gateway):\n"
        "    start_gateway({'routes': [{'name': 'a', 'respond': {}}]}).get('/').expect(200)\n",
    )
    assert "2 passed" in out, out


def test_a_request_nobody_expected_fails_the_test(tmp_path: Path) -> None:
    out = pytest_of(tmp_path, "def test_it(gateway):\n    gateway.get('/api/orders/1')\n")
    assert "service orders: nobody expected GET /orders/1" in out
    assert "1 error" in out


def test_nothing_is_loaded_for_who_does_not_ask(tmp_path: Path) -> None:
    program = "import sys, tidegate; sys.exit('tidegate.testing' in sys.modules or 'pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path).returncode == 0
    program = "import sys, tidegate.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path).returncode == 0
