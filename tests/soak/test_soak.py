"""Random faults for a minute, or for TIDEGATE_SOAK_SECONDS: nothing leaks, sticks, or is counted wrong."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conftest import StartProcess
from tests.harness import eventually
from tests.harness.process import GatewayProcess
from tests.soak.clients import Tally, ask_until
from tests.soak.service import FaultyService

SECONDS = float(os.environ.get("TIDEGATE_SOAK_SECONDS", "60"))
CLIENTS = 24
WARM_UP = 1 / 3
"""The share of the time after which memory counts: by then every pool and buffer has its size."""
GROWTH = 1.05

DOCUMENT = """\
listeners: [{address: '127.0.0.1:0'}]
admin: {address: '127.0.0.1:0'}
access_log: off
services:
  - {name: plain, url: 'http://127.0.0.1:PORT0', read_timeout: 300ms, retries: 0}
  - {name: patient, url: 'http://127.0.0.1:PORT1', read_timeout: 300ms, retries: 2}
  - name: shielded
    upstream:
      targets: [{address: '127.0.0.1:PORT2'}, {address: '127.0.0.1:PORT1'}]
      balance: least_requests
    read_timeout: 300ms
    first_byte_timeout: 250ms
    retries: {attempts: 2, on: [connect_failure, reset, 503]}
    hedging: {after: 50ms}
    circuit_breaker: {failure_rate: 60%, minimum_calls: 20, window: 2s, timeout: 300ms, accept_retry_after: 500ms}
    bulkhead: {max_requests: 12, max_pending: 4, queue_timeout: 200ms}
    fallback: {status: 503, body: {error: not now}}
routes:
  - {name: plain, paths: [/plain], service: plain, timeout: 2s}
  - {name: patient, paths: [/patient], service: patient, timeout: 2s}
  - {name: shielded, paths: [/shielded], service: shielded, timeout: 2s}
"""


def test_random_faults(process: StartProcess) -> None:
    asyncio.run(_soak(process))


async def _soak(process: StartProcess) -> None:
    tally, memory = Tally(), list[int]()
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(FaultyService(seed)) for seed in range(3)]
        text = DOCUMENT
        for number, service in enumerate(services):
            text = text.replace(f"PORT{number}", str(service.port))
        running = await asyncio.to_thread(_started, process, text)
        end = asyncio.Event()
        port = running.address()[1]
        paths = ["/plain/a", "/patient/a", "/shielded/a"]
        clients = [asyncio.create_task(ask_until(end, port, paths, tally, seed)) for seed in range(CLIENTS)]
        moods = [asyncio.create_task(_moods(service, end)) for service in services]
        until = asyncio.get_running_loop().time() + SECONDS
        while (now := asyncio.get_running_loop().time()) < until:
            if now > until - SECONDS * (1 - WARM_UP):
                memory.append(_resident(running))
            await asyncio.wait([*clients], timeout=min(1.0, until - now), return_when=asyncio.FIRST_EXCEPTION)
            assert not any(client.done() for client in clients), "a client ended early"
        end.set()
        await asyncio.gather(*clients, *moods)
        assert tally.wrong == []
        assert tally.sent > 20 * SECONDS, "too little happened to say anything"
        await asyncio.to_thread(_at_rest, running)
        _counters_add_up(tally, await asyncio.to_thread(_counters, running))
    part = max(1, len(memory) // 4)
    first, last = statistics.median(memory[:part]), statistics.median(memory[-part:])
    assert last <= GROWTH * first, f"resident memory grew from {first} to {last} kB"


def _started(process: StartProcess, text: str) -> GatewayProcess:
    running = process(text, "--workers", "2")
    running.listening()
    return running


async def _moods(service: FaultyService, end: asyncio.Event) -> None:
    """Every few seconds a service is away, or fails in everything, for a moment."""
    usual = service.share_well
    while not end.is_set():
        for share, seconds in ((usual, 3.0), (0.0, 0.7), (usual, 3.0)):
            service.share_well = share
            if await _ended(end, seconds):
                return
        await service.fall_silent(0.5)


async def _ended(end: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(end.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _resident(running: GatewayProcess) -> int:
    """Kilobytes."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found.group(1))


def _at_rest(running: GatewayProcess) -> None:
    def resting() -> bool:
        text = running.get("/metrics", "admin").text
        busy = re.findall(r'^tidegate_pool_connections\{.*state="busy".*\} (\d+)$', text, re.MULTILINE)
        open_ = re.findall(r"^tidegate_connections\{.*\} (\d+)$", text, re.MULTILINE)
        return "\ntidegate_requests_in_flight 0\n" in text and not any(map(int, [*busy, *open_]))

    eventually(resting, "every request and connection to end")


def _counters(running: GatewayProcess) -> tuple[Counter[int], Counter[str]]:
    text = running.get("/metrics", "admin").text
    statuses, codes = Counter[int](), Counter[str]()
    for status, count in re.findall(r'^tidegate_requests_total\{.*code="(\d+)".*\} (\d+)$', text, re.MULTILINE):
        statuses[int(status)] += int(count)
    for code, count in re.findall(r'^tidegate_refusals_total\{code="(\w+)"\} (\d+)$', text, re.MULTILINE):
        codes[code] += int(count)
    return statuses, codes


def _counters_add_up(tally: Tally, counters: tuple[Counter[int], Counter[str]]) -> None:
    """Each request is counted once, under the status that its client was sent; who left may have been sent any."""
    statuses, codes = counters
    assert statuses.total() == tally.sent
    for status, count in tally.statuses.items():
        assert count <= statuses[status] <= count + tally.left, f"status {status}: {statuses[status]}, seen {count}"
    for code, count in tally.codes.items():
        assert count <= codes[code] <= count + tally.left + tally.cut, f"code {code}: {codes[code]}, seen {count}"
