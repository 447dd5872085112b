"""The demo: the tour as `tidegate demo --once` runs it, and the example's document on its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tidegate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_answer_of_the_tour_is_right() -> None:
    done = tidegate("demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n$ curl ") >= 12
    assert re.search(r"^  200  route orders  \d+\.\d ms$", done.stdout, re.MULTILINE)


def test_the_example_checks_without_the_demo() -> None:
    done = tidegate("check", "examples/shop/gateway.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_answer_makes_the_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from tidegate.demo import show, tour

    wrong = tour.Step("Wrong on purpose", "/nowhere", 200, "", lambda _: True)
    monkeypatch.setattr(show, "STEPS", [wrong])
    assert show.run(once=True) == 1
