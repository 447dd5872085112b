"""Processes that are measured: pinned to a core, and seen through /proc with all their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.workload import HOST, Launch

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A run that says nothing about speed: a process that did not start, an answer that is not right."""


@dataclass(frozen=True)
class Cpu:
    """Processor time in seconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True)
class Memory:
    """Memory of a tree in bytes: `rss` counts a shared page once for each process, `pss` once in all."""

    rss: int
    pss: int


class Process:
    """A process and its children, from start to end of a `with` block."""

    def __init__(self, launch: Launch, core: int | None, log: Path) -> None:
        pin = [] if core is None else ["taskset", "-c", str(core)]
        self._log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*pin, *launch.arguments],
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def stop(self) -> None:
        """Asks the process to end, and ends it when it does not; children that stay behind go too."""
        self._popen.terminate()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def wait_for_port(self, port: int, patience: float = 30) -> None:
        """Returns once somebody listens on `port`."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self._popen.poll() is not None:
                raise BenchmarkError(f"exited with {self._popen.returncode} before it listened\n{self.log_tail()}")
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                time.sleep(0.005)
            else:
                return
        raise BenchmarkError(f"nobody listens on port {port} after {patience:g}s\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu(self) -> Cpu:
        """Processor time of the tree, ended children included."""
        user = system = 0
        for pid in self.tree():
            fields = _stat(pid)
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        return Cpu(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)

    def memory(self) -> Memory:
        rss = pss = 0
        for pid in self.tree():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "Rss":
                    rss += int(value.split()[0]) * 1024
                elif name == "Pss":
                    pss += int(value.split()[0]) * 1024
        return Memory(rss, pss)

    def threads(self) -> dict[int, str]:
        """The names of the process's own threads, by their number."""
        tasks = Path(f"/proc/{self.pid}/task")
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks.iterdir()}

    def pin_thread(self, thread: int, core: int) -> None:
        os.sched_setaffinity(thread, {core})

    def tree(self) -> list[int]:
        """The process and all that descend from it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
                except OSError:
                    continue  # it ended while we looked
        found = [self.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5): field 3); the name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, asked for at once so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
