"""The event log: what the people who run the gateway should know, on stderr, and not without end."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

# In a process of its own: the limit counts over all gateways of a process.
SCRIPT = """
import sys
from pathlib import Path
from tests.harness import start

service = {"name": "down", "url": "http://127.0.0.1:9", "retries": 0}
route = {"name": "down", "paths": ["/"], "service": "down"}
gateway = start({"services": [service], "routes": [route]}, Path(sys.argv[1]))
for _ in range(50):
    assert gateway.get("/").status == 502
gateway.stop()
"""
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn  upstream call failed service=down target=127.0.0.1:9 attempt=1 .*"
)


def stderr(folder: object, level: str | None) -> list[str]:
    environment = {**os.environ, **({"TIDEGATE_LOG": level} if level else {})}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    return ended.stderr.splitlines()


def test_a_call_that_fails_is_a_warning_and_many_of_them_are_cut_short(tmp_path: object) -> None:
    lines = stderr(tmp_path, None)
    assert len(lines) == 20
    assert LINE.fullmatch(lines[0])


@pytest.mark.parametrize("level", ["error", "off"])
def test_what_is_not_wanted_is_not_said(tmp_path: object, level: str) -> None:
    assert stderr(tmp_path, level) == []
