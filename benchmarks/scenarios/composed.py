"""The scenarios about composition and Python: one answer made of five, plugins, and applications in process."""

from collections.abc import Mapping

from benchmarks.load import Load
from benchmarks.openloop import run_schedule
from benchmarks.peers import Aiohttp, FastApi, Fastify, Lura, Tidegate, Uvicorn
from benchmarks.scenario import Contestant, Figure, Figures, Goal, Scenario
from benchmarks.scenarios.cost import COST_FIGURES, CPU, cost_of
from benchmarks.stage import Stage
from benchmarks.workload import SHIPMENT_TIMEOUT_MS, Composition, Workload

DECLARED = Workload(routes=1, composition=Composition.DECLARED)
HANDLER = Workload(routes=1, composition=Composition.HANDLER)
HANGS = Workload(routes=1, composition=Composition.DECLARED, illness=True)
PROXIED = Workload(routes=1)
PLUGGED = Workload(routes=1, plugin="benchmarks.applications.plugins:Mark")
HELLO = Workload(routes=1, application="benchmarks.applications.hello:app")
SPREAD = Load(connections=64)
FEW = Load(connections=16)
"""With more, the pool of httpx does little but look at its own connections."""
RATE = 200.0
"""Requests a second, where latency is asked for: far below what anyone can carry."""


def _latency_of_chain(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    """The composed answer, and the two calls of its slowest chain, one after the other, without a gateway."""
    settings = stage.settings
    with stage.open(contestant.peer, contestant.workload) as running:
        site = running.site
        seconds = (settings.warm_up, settings.seconds)
        composed = run_schedule(site.port, contestant.workload.targets, RATE, *seconds, site.folder)
        first = run_schedule(site.backend_port, ["/orders/42"], RATE, *seconds, site.folder)
        after = [
            run_schedule(site.backend_port, [target], RATE, *seconds, site.folder)
            for target in ("/users/u-7", "/products/p-1", "/shipments/42")
        ]
    chain = first.p50 + max(each.p50 for each in after)
    return {"p50": composed.p50, "p99": composed.p99, "chain": chain, "added": composed.p50 - chain}


def _latency_without_shipment(contestant: Contestant, stage: Stage, context: Mapping[str, float]) -> Figures:
    settings = stage.settings
    with stage.open(contestant.peer, contestant.workload) as running:
        seconds = (settings.warm_up, settings.seconds)
        seen = run_schedule(running.site.port, contestant.workload.targets, RATE, *seconds, running.site.folder)
    late = 1e-3
    return {"p50": seen.p50 * late, "p99": seen.p99 * late, "after": seen.p99 * late - SHIPMENT_TIMEOUT_MS}


COMPOSED_SCENARIOS = (
    Scenario(
        name="composed",
        title="One answer out of five calls",
        description="16 connections ask for an order, then its user, its two products and its shipment at once, merged "
        "into 1.9 kB of JSON. Lura, the engine of KrakenD, has no such graph in its open form: it asks one after "
        "another.",
        contestants=(
            Contestant("tidegate", Tidegate(), DECLARED),
            Contestant("tidegate, Python handler", Tidegate(), HANDLER),
            Contestant("tidegate, one proxied call", Tidegate(), PROXIED),
            Contestant("lura", Lura(), DECLARED),
            Contestant("fastify + undici", Fastify(), DECLARED),
            Contestant("fastapi + httpx", FastApi(), DECLARED),
            Contestant("aiohttp", Aiohttp(), DECLARED),
        ),
        figures=COST_FIGURES,
        measure=cost_of(FEW),
        goals=(
            Goal(CPU, "tidegate", 0.30, of="lura"),
            Goal(CPU, "tidegate", 0.30, of="fastify + undici"),
            Goal(CPU, "tidegate", 5.0, of="tidegate, one proxied call"),
            Goal(CPU, "tidegate, Python handler", 2.0, of="tidegate"),
            Goal(CPU, "tidegate, Python handler", 0.25, of="fastapi + httpx"),
            Goal(CPU, "tidegate, Python handler", 0.35, of="aiohttp"),
        ),
    ),
    Scenario(
        name="composed_latency",
        title="Latency of a composed answer",
        description=f"The same at {RATE:.0f} requests a second, and its slowest chain of calls (the order, then the "
        "slowest of what follows) asked for without a gateway. Microseconds.",
        contestants=(Contestant("tidegate", Tidegate(), DECLARED),),
        figures=(
            Figure("p50", "p50", 0),
            Figure("p99", "p99", 0),
            Figure("chain", "the chain alone, p50", 0),
            Figure("added", "added at p50", 0),
        ),
        measure=_latency_of_chain,
        goals=(Goal("added", "tidegate", 300),),
    ),
    Scenario(
        name="composed_hang",
        title="A service that hangs behind a composed answer",
        description=f"The same with a shipping service that never answers, as an optional call with a timeout of "
        f"{SHIPMENT_TIMEOUT_MS} ms. Milliseconds.",
        contestants=(Contestant("tidegate", Tidegate(), HANGS),),
        figures=(Figure("p50", "p50", 1), Figure("p99", "p99", 1), Figure("after", "p99 after the timeout", 1)),
        measure=_latency_without_shipment,
        goals=(Goal("after", "tidegate", 5),),
    ),
    Scenario(
        name="plugin",
        title="A plugin with one hook",
        description="A proxied route with a plugin that adds a header to each request, and the same gateway without.",
        contestants=(
            Contestant("tidegate, plugin", Tidegate(), PLUGGED),
            Contestant("tidegate", Tidegate(), PROXIED),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(Goal(CPU, "tidegate, plugin", 6.0, over="tidegate"),),
    ),
    Scenario(
        name="asgi",
        title="FastAPI in process",
        description="FastAPI's hello: mounted in the gateway, and under uvicorn with httptools and uvloop.",
        contestants=(Contestant("tidegate", Tidegate(), HELLO), Contestant("uvicorn", Uvicorn(), HELLO)),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(Goal(CPU, "tidegate", 0.8, of="uvicorn"),),
    ),
)
