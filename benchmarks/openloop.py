"""Open-loop load: requests leave on a fixed schedule, whatever the answers do (see tools/src/bin/openloop.rs)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import toolbox
from benchmarks.places import FIRST, LOAD_CORE
from benchmarks.processes import BenchmarkError

CONNECTIONS = 64


@dataclass(frozen=True)
class Latency:
    """Latencies in microseconds, from the moment a request was due."""

    requests: int
    p50: float
    p99: float
    p999: float


def run_schedule(
    port: int, targets: list[str], rate: float, warm_up: float, seconds: float, folder: Path, first: bool = False
) -> Latency:
    """Sends `rate` requests a second over HTTP/1.1; with `first`, before anything else that wants the load's core."""
    file = folder / "schedule.txt"
    file.write_text("".join(f"{target}\n" for target in targets))
    priority = ["chrt", "--fifo", str(FIRST)] if first else []
    times = [f"{rate:.1f}", f"{warm_up:g}", f"{seconds:g}"]
    program = [toolbox.command("openloop"), str(port), str(CONNECTIONS), *times, str(file)]
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *priority, *program], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise BenchmarkError(f"openloop exited with {done.returncode}: {done.stderr.strip()}")
    seen = json.loads(done.stdout)
    if seen["errors"]:
        raise BenchmarkError(f"{seen['errors']} of {seen['requests']} requests on the schedule failed")
    return Latency(seen["requests"], seen["p50_us"], seen["p99_us"], seen["p999_us"])
