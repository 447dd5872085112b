"""Draws one illness: `draw_fault.py TITLE IMAGE RUN.json...`, one column a gateway.

Runs in the environment of the peers, which has matplotlib.
"""

import json
import sys
from pathlib import Path

import matplotlib  # type: ignore[import-not-found]

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "tidegate"
from matplotlib import pyplot  # noqa: E402  (the backend comes first)

OTHERS, SICK = "#1f6f8b", "#c8553d"


def draw(title: str, image: Path, files: list[Path]) -> None:
    figure, rows = pyplot.subplots(
        2, len(files), figsize=(4 * len(files), 4.5), sharex=True, sharey="row", squeeze=False
    )
    figure.suptitle(title)
    for column, file in enumerate(files):
        run = json.loads(file.read_text())
        upper, lower = rows[0][column], rows[1][column]
        upper.set_title(file.stem.partition("-")[2])
        for name, colour in (("others", OTHERS), ("sick", SICK)):
            times = [run["bin"] * (at + 0.5) for at in range(len(run[name]["p99_ms"]))]
            upper.plot(times, [nothing(value) for value in run[name]["p99_ms"]], color=colour, label=name)
            lower.plot(times, [nothing(value) for value in run[name]["failed"]], color=colour, label=name)
        upper.set_yscale("log")
        for axes in (upper, lower):
            axes.axvspan(run["begin"], run["end"], color=SICK, alpha=0.08, linewidth=0)
            axes.grid(alpha=0.3)
        lower.set_ylim(-0.03, 1.03)
        lower.set_xlabel("seconds")
    rows[0][0].set_ylabel("p99, ms")
    rows[1][0].set_ylabel("share that failed")
    rows[0][0].legend(loc="best", fontsize="small")
    figure.tight_layout()
    figure.savefig(image, metadata={"Date": None})


def nothing(value: float | None) -> float:
    return float("nan") if value is None else value


if __name__ == "__main__":
    draw(sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
