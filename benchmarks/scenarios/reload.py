"""How soon a new route answers after the document is written, with many others loaded."""

import http.client
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import Tidegate
from benchmarks.processes import BenchmarkError
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.stage import Stage
from benchmarks.workload import HOST, Workload

ROUTES = 5_000
CHANGES = 20
LOOK_EVERY = 0.001
PATIENCE = 10.0
PAUSE = 0.1
"""Between two changes, so that each is a reload of its own."""
WATCHING = Tidegate(arguments=("--watch",))


def _measure(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    with stage.open(contestant.peer, contestant.workload) as running:
        document = running.site.folder / "gateway.yaml"
        connection = http.client.HTTPConnection(HOST, running.site.port, timeout=PATIENCE)
        try:
            times = [_until_it_answers(document, connection, number) for number in range(CHANGES)]
        finally:
            connection.close()
    return {"new_route_ms": statistics.median(times), "slowest_ms": max(times)}


def _until_it_answers(document: Path, connection: http.client.HTTPConnection, number: int) -> float:
    """Milliseconds from the begin of the write to the first 200 of a route that was not there."""
    path = f"/new-{number}"
    route = f"routes:\n- name: new-{number}\n  paths: [{path}]\n  respond: {{status: 200, body: new}}\n"
    text = document.read_text().replace("routes:\n", route, 1)
    if _status(connection, path) != 404:
        raise BenchmarkError(f"{path} was answered before it was written")
    begin = time.monotonic()
    document.write_text(text)
    while _status(connection, path) != 200:
        if time.monotonic() - begin > PATIENCE:
            raise BenchmarkError(f"{path} was not answered {PATIENCE:g}s after it was written")
        time.sleep(LOOK_EVERY)
    taken = (time.monotonic() - begin) * 1000
    time.sleep(PAUSE)
    return taken


def _status(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


RELOAD_SCENARIOS = (
    Scenario(
        name="reload",
        title="A new route, with 5,000 others",
        description=(
            "From the write of the document (YAML, `--watch`) to the first 200 of a route that was not in it before, "
            "asked for every millisecond. One worker, one core for all of the gateway; 20 changes a round."
        ),
        contestants=(Contestant("tidegate", WATCHING, Workload(routes=ROUTES)),),
        figures=(Figure("new_route_ms", "median, ms"), Figure("slowest_ms", "slowest, ms")),
        measure=_measure,
        goals=(Goal("new_route_ms", "tidegate", 50),),
        rounds=3,
    ),
)
