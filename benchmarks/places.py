"""Where things are, and which core does what."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BENCHMARKS = REPOSITORY / "benchmarks"
TOOLS = BENCHMARKS / ".tools"
RESULTS = BENCHMARKS / "results"
PAGE = REPOSITORY / "docs" / "benchmarks.md"

PEER_PYTHON = TOOLS / "venv" / "bin" / "python"
"""The interpreter that the Python peers run on, apart from the gateway's."""

RUST_TARGET = TOOLS / "target"
RUST_TOOLS = RUST_TARGET / "release"
RUNS = TOOLS / "runs"
"""Configurations and logs of the last runs, one folder a contestant."""

GATEWAY_CORE = 0
LOAD_CORE = 1

FIRST = 10
"""The real-time priority of load and backends where something else may want their core."""
