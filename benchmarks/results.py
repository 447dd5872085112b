"""Raw results: every figure of every round, with the machine and the versions they came from."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.places import RESULTS
from benchmarks.scenario import Scenario
from benchmarks.stage import Settings


@dataclass(frozen=True)
class Sample:
    """One round of one contestant."""

    contestant: str
    round: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """The figures of all rounds in three numbers."""

    median: float
    low: float
    high: float


@dataclass
class Result:
    """A run of a scenario, as it is kept in `results/<scenario>.json`."""

    scenario: str
    taken: str
    machine: dict[str, str]
    settings: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)
    context: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    thrown_out: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    busy_before: float = 0
    """The share of all cores that something else used in the second before the run."""

    @classmethod
    def begin(cls, scenario: Scenario, settings: Settings) -> Result:
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(scenario.name, taken, _machine(), asdict(settings), busy_before=_busy())

    @classmethod
    def read(cls, name: str) -> Result | None:
        """The last result of a scenario, if it ever ran."""
        path = _path(name)
        if not path.exists():
            return None
        raw = json.loads(path.read_text())
        raw["samples"] = [Sample(**sample) for sample in raw["samples"]]
        return cls(**raw)

    def write(self) -> Path:
        path = _path(self.scenario)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path

    def spread(self, contestant: str, figure: str) -> Spread | None:
        """The median of a figure over the rounds, with the least and the most."""
        mine = [sample.figures for sample in self.samples if sample.contestant == contestant]
        values = [figures[figure] for figures in mine if figure in figures]
        return Spread(statistics.median(values), min(values), max(values)) if values else None


def _path(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _busy() -> float:
    """The share of the machine that is in use right now."""
    before = _core_seconds()
    time.sleep(1)
    after = _core_seconds()
    busy, all_time = (now - then for now, then in zip(after, before, strict=True))
    return round(busy / all_time, 3)


def _core_seconds() -> tuple[int, int]:
    """Busy and total time of all cores, from the first line of /proc/stat (proc(5))."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + waiting


def _machine() -> dict[str, str]:
    information = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.+)", information)
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "processor": model.group(1) if model else "unknown",
        "cores": str(os.cpu_count()),
        "memory_gib": f"{int(memory.group(1)) / 2**20:.0f}" if memory else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
