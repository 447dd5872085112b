"""Closed-loop load: every connection asks again as soon as it is answered.

wrk for HTTP/1.1; h2load for TLS and HTTP/2, so that all contestants meet the same client and the same cipher.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import toolbox
from benchmarks.places import BENCHMARKS, LOAD_CORE
from benchmarks.processes import BenchmarkError
from benchmarks.workload import HOST, Protocol, Workload

WRK_SCRIPT = BENCHMARKS / "probes" / "in_turn.lua"
CIPHER = "TLS_AES_128_GCM_SHA256"
"""The same for all: some servers would choose another by themselves."""

GRPC_MESSAGE = b"\x00\x00\x00\x00\x20" + b"x" * 32
"""A message of 32 bytes with its gRPC prefix."""


@dataclass(frozen=True)
class Load:
    """How a workload is asked for."""

    connections: int = 64
    streams: int = 1
    """Requests under way at once on a connection; only HTTP/2 has more than one."""
    upload: int = 0
    """Bytes of a request's body; none is a GET."""
    query: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a load generator saw."""

    requests: int
    errors: int
    seconds: float
    bytes_read: int


def run_load(load: Load, workload: Workload, port: int, seconds: float, folder: Path) -> Outcome:
    """Loads the contestant on `port` for a time."""
    targets = folder / "targets.txt"
    asked = [target + load.query for target in workload.targets]
    if workload.client is Protocol.HTTP1:
        targets.write_text("".join(f"{target}\n" for target in asked))
        headers = folder / "headers.txt"
        headers.write_text("".join(f"{line}\n" for line in workload.guard.headers) if workload.guard else "")
        return _wrk(load, port, seconds, targets, headers)
    scheme = "https" if workload.client.is_encrypted else "http"
    targets.write_text("".join(f"{scheme}://{HOST}:{port}{target}\n" for target in asked))
    return _h2load(load, workload, seconds, targets)


def _wrk(load: Load, port: int, seconds: float, targets: Path, headers: Path) -> Outcome:
    options = [f"-c{load.connections}", "-t1", f"-d{seconds:g}s", "-s", str(WRK_SCRIPT)]
    output = _run(
        [toolbox.command("wrk"), *options, f"http://{HOST}:{port}", str(targets), str(load.upload), str(headers)]
    )
    summary = json.loads(output.strip().splitlines()[-1])
    return Outcome(summary["requests"], summary["errors"], summary["microseconds"] / 1e6, summary["bytes"])


def _h2load(load: Load, workload: Workload, seconds: float, targets: Path) -> Outcome:
    options = [f"-c{load.connections}", "-t1", f"-D{seconds:g}s", f"-m{load.streams}", "-i", str(targets)]
    if workload.client.is_encrypted:
        options.append(f"--tls13-ciphers={CIPHER}")
    if workload.client is Protocol.TLS_HTTP1:
        options.append("--h1")
    if workload.upstream is Protocol.H2C:
        message = targets.with_name("message.bin")
        message.write_bytes(GRPC_MESSAGE)
        options += ["-d", str(message), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    return read_h2load(_run([toolbox.command("h2load"), *options]))


def read_h2load(output: str) -> Outcome:
    """The figures in what h2load prints."""
    counts = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    finished = re.search(r"finished in ([\d.]+)(ms|s|us)", output)
    traffic = re.search(r"traffic: \S+ \((\d+)\) total", output)
    if "Cipher: " in output and f"Cipher: {CIPHER}\n" not in output:
        raise BenchmarkError(f"the cipher is not {CIPHER}\n{output[:2000]}")
    if not (counts and statuses and finished and traffic):
        raise BenchmarkError(f"h2load printed something else\n{output[-2000:]}")
    succeeded, *problems = map(int, counts.groups())
    unwanted = sum(map(int, statuses.groups()[1:]))
    unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6}[finished.group(2)]
    return Outcome(succeeded, sum(problems) + unwanted, float(finished.group(1)) * unit, int(traffic.group(1)))


def _run(arguments: list[str]) -> str:
    pinned = ["taskset", "-c", str(LOAD_CORE), *arguments]
    done = subprocess.run(pinned, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"{arguments[0]} exited with {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
