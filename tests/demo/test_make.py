"""`make` on a machine that lacks something says so in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ("cargo", "tidegate needs Rust to build its engine, and found no cargo"),
        ("cc", "tidegate needs a C compiler to build its engine, and found no cc"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_made(tmp_path: Path, lacks: str, message: str) -> None:
    commands, tree = tmp_path / "bin", tmp_path / "tree"
    commands.mkdir()
    tree.mkdir()
    for name in {"bash", "find", "python3", "cargo", "cc"} - {lacks}:
        # What is only looked for is stood in for.
        (commands / name).symlink_to((name in {"bash", "find"} and shutil.which(name)) or "/bin/true")
    for part in ("Makefile", "pyproject.toml", "Cargo.toml", "Cargo.lock", "crates", "python"):
        (tree / part).symlink_to(ROOT / part)
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "demo"],
        cwd=tree,
        env={**_without_make(), "PATH": str(commands)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    told, failed = done.stderr.splitlines()
    assert told.startswith(message)
    assert failed.startswith("make: ***")
    assert not (tree / ".venv").exists()


def _without_make() -> dict[str, str]:
    """The environment, without what a `make` that runs these tests left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
