"""What the tests of proxying share."""

from __future__ import annotations

import select
import time
from pathlib import Path

from tests.harness import DEADLINE, Raw, RunningGateway

GET = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def advance_until_heard(gateway: RunningGateway, connection: Raw, seconds: float) -> None:
    """Moves the clock by `seconds` until the gateway says something, or closes.

    More than once, as the gateway may begin to wait only after the first move.
    """
    until = time.monotonic() + DEADLINE
    while not connection.buffer:
        gateway.advance(seconds)
        if select.select([connection.socket], [], [], 0.05)[0]:
            return
        assert time.monotonic() < until, "the gateway said nothing"


def memory_kib() -> int:
    """Resident memory of this process, in which the gateway runs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
