"""CPU per request: the measure that most scenarios share."""

from collections.abc import Callable, Mapping

from benchmarks.load import Load, run_load
from benchmarks.processes import BenchmarkError
from benchmarks.scenario import Contestant, Figure, Figures
from benchmarks.stage import Stage

CPU = "cpu_us"
COST_FIGURES = (
    Figure(CPU, "CPU µs/request", 2),
    Figure("user_us", "user", 2),
    Figure("system_us", "system", 2),
    Figure("rate", "requests/s", 0),
    Figure("busy", "core busy", 2),
)


def cost_of(load: Load) -> Callable[[Contestant, Stage, Mapping[str, float]], Figures]:
    """Measures the processor time of the whole tree over a closed-loop run, for each request that was answered."""

    def measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
        workload, settings = contestant.workload, stage.settings
        with stage.open(contestant.peer, workload) as running:
            folder, port = running.site.folder, running.site.port
            run_load(load, workload, port, settings.warm_up, folder)
            before = running.process.cpu()
            outcome = run_load(load, workload, port, settings.seconds, folder)
            used = running.process.cpu() - before
        if outcome.errors or not outcome.requests:
            raise BenchmarkError(f"{outcome.errors} of {outcome.requests} requests failed")
        per_request = 1e6 / outcome.requests
        return {
            CPU: used.total * per_request,
            "user_us": used.user * per_request,
            "system_us": used.system * per_request,
            "rate": outcome.requests / outcome.seconds,
            "busy": used.total / outcome.seconds,
            "requests": float(outcome.requests),
            "gigabytes_per_cpu_second": (outcome.bytes_read + outcome.requests * load.upload) / used.total / 1e9,
        }

    return measure
