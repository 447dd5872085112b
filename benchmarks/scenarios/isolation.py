"""Handlers that never give the interpreter back, block, or leak, beside a route that uses no Python."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from benchmarks.load import Load, run_load
from benchmarks.openloop import run_schedule
from benchmarks.peers import Tidegate
from benchmarks.places import GATEWAY_CORE, LOAD_CORE
from benchmarks.processes import BenchmarkError
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.stage import Running, Stage
from benchmarks.workload import HOST, Workload

ALONE = "tidegate, native route alone"
BESIDE = {
    f"tidegate, beside a handler that {what}": Workload(handler=f"benchmarks.applications.handlers:{function}")
    for what, function in (("spins", "spin"), ("blocks", "block"), ("leaks", "leak"))
}
SHARE = 0.3
WORKER_THREAD = "worker-"


def _saturate(contestants: tuple[Contestant, ...], stage: Stage) -> Figures:
    contestant = contestants[0]
    with stage.open(contestant.peer, Workload()) as running:
        outcome = run_load(Load(), Workload(), running.site.port, stage.settings.seconds, running.site.folder)
    return {"rate": SHARE * outcome.requests / outcome.seconds}


def _measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    settings, workload = stage.settings, contestant.workload
    native = [workload.target(number) for number in range(1, workload.routes)]
    with stage.open(contestant.peer, workload, core=None) as running:
        _give_workers_a_core(running)
        disturbance = nullcontext() if contestant.label == ALONE else _disturbed(running, workload.target(0))
        with stage.backends_first(), disturbance:
            site, rate = running.site, context["rate"]
            seen = run_schedule(site.port, native, rate, settings.warm_up, settings.seconds, site.folder, first=True)
    return {"p99": seen.p99, "p50": seen.p50, "p999": seen.p999}


def _give_workers_a_core(running: Running) -> None:
    """Leaves the gateway's core to the workers: the interpreter spins on the load's, where the load goes first."""
    threads = running.process.threads()
    if not any(name.startswith(WORKER_THREAD) for name in threads.values()):
        raise BenchmarkError(f"no thread is named `{WORKER_THREAD}`: {sorted(set(threads.values()))}")
    for thread, name in threads.items():
        running.process.pin_thread(thread, GATEWAY_CORE if name.startswith(WORKER_THREAD) else LOAD_CORE)


@contextmanager
def _disturbed(running: Running, target: str) -> Iterator[None]:
    """Asks for the handler again and again; each answer takes it a second."""
    stop, failures = threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection(HOST, running.site.port, timeout=30)
            try:
                connection.request("GET", target)
                answer = connection.getresponse()
                if answer.status != 200:
                    failures.append(f"the handler answered {answer.status}")
            except OSError as error:
                failures.append(f"the handler did not answer: {error}")
            finally:
                connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise BenchmarkError(failures[0])


ISOLATION_SCENARIOS = (
    Scenario(
        name="isolation",
        title="A Python handler that spins, blocks or leaks",
        description=(
            "A native route at 30 % of saturation, alone and beside a handler that computes without a pause, one that "
            "blocks the loop of all handlers, and one that keeps 100 MB a second. The workers have core 0, "
            "the interpreter what the load leaves of core 1. Microseconds."
        ),
        contestants=(
            Contestant(ALONE, Tidegate(), next(iter(BESIDE.values()))),
            *(Contestant(label, Tidegate(), workload) for label, workload in BESIDE.items()),
        ),
        figures=(Figure("p99", "p99", 0), Figure("p50", "p50", 0), Figure("p999", "p99.9", 0)),
        measure=_measure,
        goals=tuple(Goal("p99", label, 1.1, of=ALONE) for label in BESIDE),
        prepare=_saturate,
    ),
)
