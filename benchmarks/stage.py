"""What the rounds of a run share: the backends on the load's core, and how a contestant is put in front of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from benchmarks import toolbox
from benchmarks.check import check_answers
from benchmarks.peers import Peer
from benchmarks.places import FIRST, GATEWAY_CORE, LOAD_CORE, RUNS
from benchmarks.processes import Process, free_ports
from benchmarks.workload import HOST, Protocol, Site, Workload


@dataclass(frozen=True)
class Settings:
    """How long and how often."""

    rounds: int = 5
    seconds: float = 5
    warm_up: float = 1

    @classmethod
    def quick(cls) -> Settings:
        """Enough to see that everything works; too little to publish."""
        return cls(rounds=2, seconds=1, warm_up=1)


@dataclass(frozen=True)
class Running:
    """A contestant that has answered rightly and can be measured."""

    process: Process
    site: Site


class Stage:
    """The backends of a run, from start to end of a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._backends: list[subprocess.Popen[str]] = []
        self._ports: dict[Protocol, int] = {}
        self._redis_port = 0
        self._sick_port = 0

    def __enter__(self) -> Stage:
        for protocol, name in ((Protocol.HTTP1, "backend"), (Protocol.H2C, "grpc_backend")):
            command = ["taskset", "-c", str(LOAD_CORE), toolbox.command(name)]
            backend = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._backends.append(backend)
            assert backend.stdout is not None, "asked for a pipe"
            self._ports[protocol] = int(backend.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for backend in self._backends:
            backend.kill()
            backend.wait()

    @contextmanager
    def backends_first(self) -> Iterator[None]:
        """Lets the backends run before anything else that wants the load's core."""
        for backend in self._backends:
            os.sched_setscheduler(backend.pid, os.SCHED_FIFO, os.sched_param(FIRST))
        try:
            yield
        finally:
            for backend in self._backends:
                os.sched_setscheduler(backend.pid, os.SCHED_OTHER, os.sched_param(0))

    def site(self, peer: Peer, workload: Workload) -> Site:
        """A folder and ports for one run; what an earlier run left there is gone."""
        folder = RUNS / peer.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        port, admin_port = free_ports(2)
        certificate, key = toolbox.certificate()
        redis = self._redis() if workload.policies and workload.policies.shared else 0
        sick = self._sick() if workload.illness else 0
        return Site(folder, port, admin_port, self._ports[workload.upstream], certificate, key, redis, sick)

    def _sick(self) -> int:
        """The port of a service on the load's core that takes requests and never answers."""
        if self._sick_port == 0:
            command = ["taskset", "-c", str(LOAD_CORE), toolbox.command("faulty"), "1", "1"]
            service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._backends.append(service)
            assert service.stdout is not None, "asked for a pipe"
            assert service.stdin is not None, "asked for a pipe"
            self._sick_port = int(service.stdout.readline())
            service.stdin.write("0 hang\n")
            service.stdin.flush()
            service.stdout.readline()
        return self._sick_port

    def _redis(self) -> int:
        """The port of a Redis on the load's core, which keeps nothing on disk; started with the first who wants it."""
        if self._redis_port == 0:
            (port,) = free_ports(1)
            options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
            command = ["taskset", "-c", str(LOAD_CORE), toolbox.command("redis-server"), *options]
            self._backends.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True))
            self._redis_port = port
        return self._redis_port

    @contextmanager
    def open(self, peer: Peer, workload: Workload, core: int | None = GATEWAY_CORE) -> Iterator[Running]:
        """Starts a contestant on the gateway's core and checks its answers."""
        site = self.site(peer, workload)
        launch = peer.launch(workload, site)
        with Process(launch, core, site.folder / "output.log") as process:
            process.wait_for_port(site.port)
            check_answers(workload, site.port, str(site.certificate))
            yield Running(process, site)
