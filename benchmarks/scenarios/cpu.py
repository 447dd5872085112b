"""The scenarios of the table: the same work, CPU per request, as a ratio to the peers."""

from benchmarks.load import Load
from benchmarks.peers import Envoy, Haproxy, Nginx, Tidegate, Uvicorn
from benchmarks.scenario import Contestant, Goal, Scenario
from benchmarks.scenarios.cost import COST_FIGURES, CPU, cost_of
from benchmarks.workload import Protocol, Workload

PROXIES = (Tidegate(), Nginx(), Envoy(), Haproxy())


def _proxies(workload: Workload) -> tuple[Contestant, ...]:
    return tuple(Contestant(peer.name, peer, workload) for peer in PROXIES)


def _at_most(ratio: float, of: str, contestant: str = "tidegate") -> Goal:
    return Goal(CPU, contestant, ratio, of)


HTTP1 = Workload()
TLS_HTTP1 = Workload(client=Protocol.TLS_HTTP1)
TLS_HTTP2 = Workload(client=Protocol.TLS_HTTP2)
GRPC = Workload(client=Protocol.H2C, upstream=Protocol.H2C)
SMALL_JSON = Workload(routes=1, handler="benchmarks.applications.handlers:small_json")
PLAIN_SMALL_JSON = Workload(routes=1, handler="benchmarks.applications.handlers:plain_small_json")
SPREAD = Load(connections=64)
MULTIPLEXED = Load(connections=8, streams=8)

CPU_SCENARIOS = (
    Scenario(
        name="http1",
        title="HTTP/1.1 to HTTP/1.1",
        description="64 connections ask in turn for 200 routes; 200 bytes of JSON come back.",
        contestants=(*_proxies(HTTP1), Contestant("tidegate, as it comes", Tidegate(), Workload(as_it_comes=True))),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(1.0, "nginx"), _at_most(0.5, "envoy")),
    ),
    Scenario(
        name="tls_h2",
        title="TLS, HTTP/2 to HTTP/1.1",
        description="As before, over TLS 1.3 and HTTP/2: 64 connections with one request under way on each.",
        contestants=_proxies(TLS_HTTP2),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(0.85, "nginx"),),
    ),
    Scenario(
        name="tls_h2_multiplexed",
        title="TLS, HTTP/2 to HTTP/1.1, multiplexed",
        description="The same with 8 connections and 8 requests under way on each.",
        contestants=_proxies(TLS_HTTP2),
        figures=COST_FIGURES,
        measure=cost_of(MULTIPLEXED),
        goals=(_at_most(0.85, "nginx"),),
    ),
    Scenario(
        name="tls_http1",
        title="TLS, HTTP/1.1 to HTTP/1.1",
        description="As the first, over TLS 1.3.",
        contestants=_proxies(TLS_HTTP1),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(0.95, "nginx"),),
    ),
    Scenario(
        name="grpc",
        title="gRPC unary, h2c to h2c",
        description="64 connections with one call under way on each; 32 bytes go up, 100 come back, with trailers.",
        contestants=_proxies(GRPC),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(0.6, "envoy"),),
    ),
    Scenario(
        name="grpc_multiplexed",
        title="gRPC unary, h2c to h2c, multiplexed",
        description="The same with 8 connections and 8 calls under way on each.",
        contestants=_proxies(GRPC),
        figures=COST_FIGURES,
        measure=cost_of(MULTIPLEXED),
        goals=(_at_most(0.6, "envoy"),),
    ),
    Scenario(
        name="access_log",
        title="Access log",
        description="The first scenario with one JSON object a line written to a file for each request.",
        contestants=(
            Contestant("tidegate", Tidegate(), HTTP1),
            Contestant("tidegate, log on", Tidegate(), Workload(access_log=True)),
            Contestant("nginx", Nginx(), HTTP1),
            Contestant("nginx, log on", Nginx(), Workload(access_log=True)),
            Contestant("envoy, log on", Envoy(), Workload(access_log=True)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(1.1, "tidegate", "tidegate, log on"),),
    ),
    Scenario(
        name="python_handler",
        title="Python handler, small JSON",
        description="A coroutine that makes a small JSON: a handler in the gateway, and raw ASGI under uvicorn. A "
        "plain function runs on a thread of its own, so that it may block.",
        contestants=(
            Contestant("tidegate", Tidegate(), SMALL_JSON),
            Contestant("uvicorn", Uvicorn(), SMALL_JSON),
            Contestant("tidegate, plain function", Tidegate(), PLAIN_SMALL_JSON),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(_at_most(0.5, "uvicorn"),),
    ),
)
