"""Every contestant must answer rightly before it is measured: same status, same body, same headers to the service."""

import json
import re
import subprocess
from collections.abc import Callable

from benchmarks import toolbox
from benchmarks.places import BENCHMARKS, PEER_PYTHON
from benchmarks.processes import BenchmarkError
from benchmarks.workload import HOST, Protocol, Workload

PROBED_ROUTES = (0, 1, -1)
BODY_LENGTH = 200


def check_answers(workload: Workload, port: int, certificate: str) -> None:
    """Raises when an answer is not what all contestants agreed on."""
    if workload.upstream is Protocol.H2C:
        _check_grpc(workload, port)
        return
    curl = _curl(workload, port, certificate, workload.guard.headers[:1] if workload.guard else [])
    if workload.composition:
        _check_composed(curl(workload.target(0)), workload)
        return
    if workload.application:
        status, body = curl(workload.target(0))
        if status != 200 or json.loads(body) != {"message": "Hello World"}:
            raise BenchmarkError(f"expected the hello, got {status}: {body[:300]!r}")
        return
    if workload.policies:
        status, _ = _curl(workload, port, certificate, [])(workload.target(0))
        if status not in (401, 403):
            raise BenchmarkError(f"a request without a credential: expected 401, got {status}")
    for number in PROBED_ROUTES:
        target = workload.target(number % workload.routes)
        if workload.handler and number % workload.routes == 0:
            # What runs for long is not run to be looked at.
            if workload.handler.endswith("small_json"):
                _check_json(curl(target), target)
            continue
        status, body = curl(target)
        if status != 200 or len(body) != BODY_LENGTH:
            raise BenchmarkError(f"{target}: expected 200 with {BODY_LENGTH} bytes, got {status}: {body[:300]!r}")
        echo = f"{target}?echo"
        _check_head(curl(echo), echo, workload, port)
    if workload.handler:
        return
    status, _ = curl("/nobody/owns/this")
    if status != 404:
        raise BenchmarkError(f"a path without a route: expected 404, got {status}")


def _curl(workload: Workload, port: int, certificate: str, headers: list[str]) -> Callable[[str], tuple[int, bytes]]:
    scheme = "https" if workload.client.is_encrypted else "http"
    version = {Protocol.TLS_HTTP2: "--http2", Protocol.H2C: "--http2-prior-knowledge"}.get(workload.client, "--http1.1")
    spoken = b"2" if workload.client in (Protocol.TLS_HTTP2, Protocol.H2C) else b"1.1"

    def ask(target: str) -> tuple[int, bytes]:
        options = ["--silent", "--show-error", "--max-time", "10", version, "--cacert", certificate]
        options += [part for line in headers for part in ("--header", line)]
        shape = ["--write-out", "\n%{http_version} %{http_code}"]
        done = subprocess.run(
            [toolbox.command("curl"), *options, *shape, f"{scheme}://{HOST}:{port}{target}"],
            capture_output=True,
            check=False,
        )
        body, _, summary = done.stdout.rpartition(b"\n")
        said, _, status = summary.partition(b" ")
        if done.returncode != 0 or said != spoken:
            raise BenchmarkError(f"{target}: HTTP/{said.decode()}, curl exited with {done.returncode}: {done.stderr!r}")
        return int(status), body

    return ask


def _check_json(answer: tuple[int, bytes], target: str) -> None:
    status, body = answer
    expected = {"id": 42, "path": target, "status": "paid", "total": 19.95, "items": ["mug", "lamp"]}
    if status != 200 or json.loads(body) != expected:
        raise BenchmarkError(f"{target}: expected the small JSON, got {status}: {body[:300]!r}")


def _check_composed(answer: tuple[int, bytes], workload: Workload) -> None:
    """The order, its user, its two products and its shipment; Lura alone names the products one by one."""
    status, body = answer
    if status != 200:
        raise BenchmarkError(f"expected a composed answer, got {status}: {body[:300]!r}")
    given = json.loads(body)
    products = given.get("products") or [given.get("product1"), given.get("product2")]
    seen = (
        given["order"]["total"],
        given["user"]["name"],
        [product["stock"] for product in products],
        given["shipment"] and given["shipment"]["carrier"],
    )
    expected = (1049.9, "Ada Lovelace", [3, 3], None if workload.illness else "Penny Post")
    if seen != expected:
        raise BenchmarkError(f"expected {expected} in the composed answer, got {seen}")


def _check_head(answer: tuple[int, bytes], target: str, workload: Workload, port: int) -> None:
    status, head = answer
    if status != 200:
        raise BenchmarkError(f"{target}: the service's answer came as {status}")
    request_line, *fields = head.decode("latin-1").splitlines()
    if request_line != f"GET {target} HTTP/1.1":
        raise BenchmarkError(f"the service saw `{request_line}`, expected the target `{target}`")
    lines = [field.partition(":") for field in fields]
    _check_forwarded({name.lower(): value.strip() for name, _, value in lines if name}, workload, port)


def _check_forwarded(seen: dict[str, str], workload: Workload, port: int) -> None:
    expected = {
        # Envoy names the machine's own address when the client is on the loopback.
        "x-forwarded-for": r"[0-9a-f.:]+",
        "x-forwarded-proto": "https" if workload.client.is_encrypted else "http",
        "x-forwarded-host": re.escape(f"{HOST}:{port}"),
        "x-forwarded-port": str(port),
        "x-request-id": r"\S{16,}",
    }
    if workload.policies:
        expected |= workload.policies.expected
    for name, pattern in expected.items():
        if not re.fullmatch(pattern, seen.get(name, "")):
            raise BenchmarkError(f"the service saw `{name}: {seen.get(name)}`, expected `{pattern}`")


def _check_grpc(workload: Workload, port: int) -> None:
    probe = BENCHMARKS / "probes" / "grpc_echo.py"
    methods = [workload.prefix(number % workload.routes) + "/Echo" for number in PROBED_ROUTES]
    done = subprocess.run(
        [str(PEER_PYTHON), str(probe), f"{HOST}:{port}", *methods], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchmarkError(f"grpcio was not answered\n{done.stderr[-1500:]}")
    for line in done.stdout.splitlines():
        _check_forwarded(json.loads(line), workload, port)
