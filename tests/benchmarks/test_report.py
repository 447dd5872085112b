"""The page says what the rounds say: medians, ratios, and who is ahead."""

import pytest

from benchmarks.load import read_h2load
from benchmarks.peers import Nginx, Tidegate
from benchmarks.processes import BenchmarkError
from benchmarks.report import section
from benchmarks.results import Result, Sample
from benchmarks.scenario import Contestant, Figure, Goal, Scenario
from benchmarks.workload import Workload

H2LOAD = """\
finished in 5.00s, 30000.00 req/s, 7.20MB/s
requests: 150000 total, 150064 started, 150000 done, {succeeded} succeeded, {failed} failed, {failed} errored, 0 timeout
status codes: {succeeded} 2xx, 0 3xx, {not_found} 4xx, 0 5xx
traffic: 36.01MB (37759000) total, 5.72MB (6000000) headers (space savings 0.00%), 28.61MB (30000000) data
"""


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(
        name="speed",
        title="Speed",
        description="Some work.",
        contestants=(Contestant("tidegate", Tidegate(), Workload()), Contestant("nginx", Nginx(), Workload())),
        figures=(Figure("cpu_us", "CPU", 2),),
        measure=lambda contestant, stage, context: {},
        goals=(
            Goal("cpu_us", "tidegate", 0.5, of="nginx"),
            Goal("cpu_us", "tidegate", 15),
            Goal("cpu_us", "tidegate", -5, over="nginx"),
        ),
    )


@pytest.fixture
def result() -> Result:
    rounds = {"tidegate": (12.0, 10.0, 99.0), "nginx": (20.0, 16.0, 18.0)}
    samples = [
        Sample(name, number, {"cpu_us": value})
        for name, values in rounds.items()
        for number, value in enumerate(values)
    ]
    return Result("speed", "2026-01-01T00:00:00+00:00", {}, {}, samples=samples)


def test_a_table_has_the_median_with_the_least_and_the_most(scenario: Scenario, result: Result) -> None:
    assert "| tidegate | 12.00 (10.00 to 99.00) |" in section(scenario, result)


def test_a_goal_is_judged_by_the_medians(scenario: Scenario, result: Result) -> None:
    lines = section(scenario, result)
    assert "- CPU at most 0.50 of nginx: 0.67, **not met**" in lines
    assert "- CPU at most 15: 12.00, met" in lines
    assert "- CPU at most -5 more than nginx: -6.00, met" in lines


def test_a_contestant_that_did_not_run_is_named_with_the_reason(scenario: Scenario, result: Result) -> None:
    result.absent["nginx"] = "not installed"
    assert "| nginx | not installed |" in section(scenario, result)


def test_a_run_on_a_busy_machine_says_so(scenario: Scenario, result: Result) -> None:
    result.busy_before = 0.5
    assert any("not quiet: 50%" in line for line in section(scenario, result))


def test_what_h2load_counts_as_wrong_is_an_error() -> None:
    outcome = read_h2load(H2LOAD.format(succeeded=149_990, failed=3, not_found=4))
    assert (outcome.requests, outcome.errors, outcome.seconds, outcome.bytes_read) == (149_990, 10, 5.0, 37_759_000)


def test_output_of_another_shape_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="something else"):
        read_h2load("could not connect")


def test_every_route_is_asked_for_once_in_turn() -> None:
    workload = Workload(routes=200)
    assert sorted(workload.targets) == sorted(workload.target(number) for number in range(200))
