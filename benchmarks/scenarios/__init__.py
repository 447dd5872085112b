"""The scenarios, in the order of the page."""

from benchmarks.faults.scenarios import FAULT_SCENARIOS
from benchmarks.scenario import Scenario
from benchmarks.scenarios.bodies import BODY_SCENARIOS
from benchmarks.scenarios.composed import COMPOSED_SCENARIOS
from benchmarks.scenarios.cpu import CPU_SCENARIOS
from benchmarks.scenarios.footprint import FOOTPRINT_SCENARIOS
from benchmarks.scenarios.guarded import GUARDED_SCENARIOS
from benchmarks.scenarios.isolation import ISOLATION_SCENARIOS
from benchmarks.scenarios.latency import LATENCY_SCENARIOS
from benchmarks.scenarios.reload import RELOAD_SCENARIOS
from benchmarks.scenarios.routes import ROUTE_SCENARIOS

_ALL = (
    *CPU_SCENARIOS,
    *COMPOSED_SCENARIOS,
    *GUARDED_SCENARIOS,
    *LATENCY_SCENARIOS,
    *FOOTPRINT_SCENARIOS,
    *BODY_SCENARIOS,
    *ROUTE_SCENARIOS,
    *RELOAD_SCENARIOS,
    *ISOLATION_SCENARIOS,
    *FAULT_SCENARIOS,
)
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
