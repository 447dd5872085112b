"""One run: four services, a gateway, a load on a fixed schedule, and an illness."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import toolbox
from benchmarks.faults.illness import PATIENCE, RATE, SERVICES, SICK, USUAL_MS, Course, Illness
from benchmarks.faults.judge import Timeline
from benchmarks.faults.peers import Shield
from benchmarks.places import GATEWAY_CORE, LOAD_CORE
from benchmarks.processes import BenchmarkError, Process
from benchmarks.stage import Stage
from benchmarks.workload import HOST, Workload

FLAP_EVERY = 1.0


@dataclass(frozen=True)
class Services:
    """The services, which take commands."""

    process: subprocess.Popen[str]
    ports: list[int]

    def tell(self, command: str) -> str:
        assert self.process.stdin is not None, "asked for a pipe"
        assert self.process.stdout is not None, "asked for a pipe"
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def seen(self) -> int:
        counts: list[int] = json.loads(self.tell("counts"))
        return counts[SICK]


def run(peer: Shield, illness: Illness, course: Course, stage: Stage) -> Timeline:
    """Runs the whole course and returns what became of every request."""
    site = stage.site(peer, Workload())
    with _services() as services:
        launch = peer.shield(site, services.ports)
        with Process(launch, GATEWAY_CORE, site.folder / "output.log") as gateway:
            gateway.wait_for_port(site.port)
            with _load(site.port, course) as load:
                start = time.monotonic()
                _sleep_until(start + course.begin)
                seen = services.seen()
                _be_ill(services, illness, start + course.begin, start + course.end)
                seen = services.seen() - seen
                services.tell(f"{SICK} well")
                out, _ = load.communicate(timeout=course.after + PATIENCE + 30)
            if load.returncode != 0:
                raise BenchmarkError(f"the load exited with {load.returncode}\n{gateway.log_tail()}")
    return Timeline.read(json.loads(out), seen)


def _be_ill(services: Services, illness: Illness, begin: float, end: float) -> None:
    if illness is not Illness.FLAP:
        services.tell(f"{SICK} {illness}")
        _sleep_until(end)
        return
    moment, turn = begin, 0
    while moment < end:
        services.tell(f"{SICK} {('fail', 'well')[turn % 2]}")
        moment, turn = moment + FLAP_EVERY, turn + 1
        _sleep_until(min(moment, end))


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


@contextmanager
def _services() -> Iterator[Services]:
    command = ["taskset", "-c", str(LOAD_CORE), toolbox.command("faulty"), str(SERVICES), str(USUAL_MS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None, "asked for a pipe"
        yield Services(process, [int(port) for port in process.stdout.readline().split()])
    finally:
        process.kill()
        process.wait()


@contextmanager
def _load(port: int, course: Course) -> Iterator[subprocess.Popen[str]]:
    """The load, from the moment of its first request."""
    targets = [f"/service-{number}/items/42" for number in range(SERVICES)]
    options = [str(port), f"{RATE:g}", f"{course.total:g}", f"{PATIENCE:g}", *targets]
    command = ["taskset", "-c", str(LOAD_CORE), toolbox.command("pressure"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None, "asked for a pipe"
        if process.stdout.readline().strip() != "started":
            raise BenchmarkError(f"the load did not start before {HOST}:{port}")
        yield process
    finally:
        process.kill()
        process.wait()
