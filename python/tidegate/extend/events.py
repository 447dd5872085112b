"""What functions of the user's are told of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """A circuit breaker went from one state to another.

    The states are `closed`, `open`, `half_open`, `ramping`, `forced_open` and `forced_closed`.
    """

    breaker: str
    """The name of the service, or `route/NAME` where a route has a breaker of its own."""
    before: str
    """The state that ended."""
    state: str
    """The state that began."""
    reason: str
    """Why: `failures`, `failure_rate`, `slow_call_rate`, `retry_after`, `trial_failed`, `trials_succeeded`,
    `time_over`, `ramp_over`, `other_gateway` or `operator`."""
    open_for: float
    """With `open`, how many seconds it stays open."""
