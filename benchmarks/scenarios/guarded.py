"""Who may pass, and how often: the same method, with the policies on."""

from benchmarks.guard import Credential, Guard
from benchmarks.load import Load
from benchmarks.peers import Envoy, Haproxy, Nginx, Tidegate
from benchmarks.scenario import Contestant, Goal, Scenario
from benchmarks.scenarios.cost import COST_FIGURES, CPU, cost_of
from benchmarks.workload import Workload

SPREAD = Load(connections=64)
BARE = "nginx, no policies"


def _workload(guard: Guard, *, bare: bool = False) -> Workload:
    return Workload(guard=guard, bare=bare)


SEEN = Guard(Credential.TOKEN)
NEW = Guard(Credential.NEW_TOKEN)
KEYS = Guard(Credential.API_KEY, limits=2)
SHARED = Guard(Credential.TOKEN, shared=True)
FEW = Guard(Credential.TOKEN, users=100)
SIGNED = Guard(Credential.TOKEN, users=100, signed=True)

GUARDED_SCENARIOS = (
    Scenario(
        name="token",
        title="Token seen before, identity headers, token bucket",
        description="200 routes. RS256 tokens of 1,000 users; the service gets three headers from the claims, and a "
        "token bucket counts for each user. HAProxy checks every signature anew, since it remembers none; Envoy "
        "remembers tokens, too. nginx does none of this: it is what the wire costs.",
        contestants=(
            Contestant("tidegate", Tidegate(), _workload(SEEN)),
            Contestant(BARE, Nginx(), _workload(SEEN, bare=True)),
            Contestant("envoy", Envoy(), _workload(SEEN)),
            Contestant("haproxy", Haproxy(), _workload(SEEN)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(
            Goal(CPU, "tidegate", 1.05, BARE),
            Goal(CPU, "tidegate", 0.30, "envoy"),
            Goal(CPU, "tidegate", 0.35, "haproxy"),
        ),
    ),
    Scenario(
        name="new_token",
        title="Every token new",
        description="The same with 20,000 users in turn, more than are remembered, so that each signature is checked.",
        contestants=(
            Contestant("tidegate", Tidegate(), _workload(NEW)),
            Contestant("tidegate, seen before", Tidegate(), _workload(SEEN)),
            Contestant("haproxy", Haproxy(), _workload(NEW)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
    ),
    Scenario(
        name="api_key",
        title="API key, two limits, identity headers",
        description="Keys of 100 consumers, two token buckets for each request, and headers that name the consumer.",
        contestants=(
            Contestant("tidegate", Tidegate(), _workload(KEYS)),
            Contestant(BARE, Nginx(), _workload(KEYS, bare=True)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(Goal(CPU, "tidegate", 1.10, BARE),),
    ),
    Scenario(
        name="shared_limit",
        title="Limit shared in Redis",
        description="The first of these scenarios with the limit counted in a Redis on the other core. Envoy asks its "
        "rate limit service, which runs beside it; both count.",
        contestants=(
            Contestant("tidegate", Tidegate(), _workload(SHARED)),
            Contestant("envoy", Envoy(), _workload(SHARED)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(Goal(CPU, "tidegate", 0.5, "envoy"),),
    ),
    Scenario(
        name="signed_identity",
        title="Signed identity",
        description="The first of these scenarios with 100 users, and a signed token for the service on top, made anew "
        "for each user every second.",
        contestants=(
            Contestant("tidegate", Tidegate(), _workload(FEW)),
            Contestant("tidegate, signed identity", Tidegate(), _workload(SIGNED)),
        ),
        figures=COST_FIGURES,
        measure=cost_of(SPREAD),
        goals=(Goal(CPU, "tidegate, signed identity", 0.5, over="tidegate"),),
    ),
)
