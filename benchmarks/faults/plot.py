"""What is kept of a run to draw it: how long answers took, tenth of a second by tenth, and what failed."""

import json
import math
import subprocess

from benchmarks.faults.illness import RATE, SICK, Course, Illness
from benchmarks.faults.judge import Asked, Timeline
from benchmarks.places import BENCHMARKS, PAGE, PEER_PYTHON, RUNS

DRAW = BENCHMARKS / "probes" / "draw_fault.py"
IMAGES = PAGE.parent / "images"
BIN = 0.2
"""Seconds."""


def keep(illness: Illness, contestant: str, timeline: Timeline, course: Course) -> None:
    """Writes what the drawing needs of the last run of a contestant."""
    others = [asked for number, service in enumerate(timeline.services) if number != SICK for asked in service]
    drawn = {
        "begin": course.before,
        "end": course.before + course.sick,
        "bin": BIN,
        "others": _bins(others, course),
        "sick": _bins(timeline.services[SICK], course),
        "offered": RATE,
    }
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / f"fault_{illness}-{contestant}.json").write_text(json.dumps(drawn))


def draw(illness: Illness, contestants: list[str]) -> None:
    """Draws the last runs of all contestants into one SVG."""
    files = [RUNS / f"fault_{illness}-{contestant}.json" for contestant in contestants]
    there = [str(file) for file in files if file.exists()]
    if there:
        IMAGES.mkdir(exist_ok=True)
        image = IMAGES / f"fault_{illness}.svg"
        subprocess.run([str(PEER_PYTHON), str(DRAW), illness.headline, str(image), *there], check=True)


def _bins(requests: list[Asked], course: Course) -> dict[str, list[float | None]]:
    count = int((course.total - course.warm_up) / BIN)
    latencies: list[list[float]] = [[] for _ in range(count)]
    failed = [0] * count
    for asked in requests:
        at = int((asked.due - course.warm_up) / BIN)
        if 0 <= at < count:
            latencies[at].append(1000 * asked.latency)
            failed[at] += not asked.is_ok
    shares = [wrong / len(values) if values else None for wrong, values in zip(failed, latencies, strict=True)]
    return {"p99_ms": [_p99(values) for values in latencies], "failed": shares}


def _p99(values: list[float]) -> float | None:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1] if values else None
