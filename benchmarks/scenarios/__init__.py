"""The scenarios, in the order of the page."""

from benchmarks.scenario import Scenario
from benchmarks.scenarios.cpu import CPU_SCENARIOS

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (*CPU_SCENARIOS,)}
