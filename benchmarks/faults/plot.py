"""What is kept of a run to draw it: how long answers took, fifth of a second by fifth, and what failed."""

import json
import subprocess

from benchmarks.faults.illness import Course, Illness
from benchmarks.faults.judge import Asked, Timeline, failed, p99
from benchmarks.places import BENCHMARKS, PAGE, PEER_PYTHON, RUNS

DRAW = BENCHMARKS / "probes" / "draw_fault.py"
IMAGES = PAGE.parent / "images"
BIN = 0.2
"""Seconds."""


def keep(illness: Illness, contestant: str, timeline: Timeline, course: Course) -> None:
    """Writes what the drawing needs of the last run of a contestant."""
    drawn = {
        "begin": course.before,
        "end": course.before + course.sick,
        "bin": BIN,
        "others": _bins(timeline.others, course),
        "sick": _bins(timeline.sick, course),
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
    bins: list[list[Asked]] = [[] for _ in range(int((course.total - course.warm_up) / BIN))]
    for asked in requests:
        at = int((asked.due - course.warm_up) / BIN)
        if 0 <= at < len(bins):
            bins[at].append(asked)
    return {
        "p99_ms": [p99(asked) if asked else None for asked in bins],
        "failed": [failed(asked) if asked else None for asked in bins],
    }
