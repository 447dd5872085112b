"""The applications that serve, each with one life, on however many routes it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Collection, Coroutine
from typing import TYPE_CHECKING, Any

from tidegate.extend.asgi.http import Exchange, HttpExchange
from tidegate.extend.asgi.lifespan import Lifespan
from tidegate.extend.asgi.messages import HTTP, WEBSOCKET, Application
from tidegate.extend.asgi.websocket import WebSocketExchange
from tidegate.extend.current import CURRENT
from tidegate.extend.eager import start_at_once
from tidegate.extend.request import Request
from tidegate.extend.websocket import SocketExchange

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.handlers import Handler
    from tidegate.extend.runner import Runner

LOG = logging.getLogger("tidegate.apps")

CANCELLED_SECONDS = 1.0
"""What requests that were cancelled have to come to an end, before their application ends around them."""


class Mounted:
    """An application, and what its requests need of it."""

    def __init__(self, handler: Handler) -> None:
        self.name = handler.name
        self.application: Application = handler.function
        self.http: dict[str, Any] = HTTP
        self.websocket: dict[str, Any] = WEBSOCKET
        self.state: dict[str, Any] | None = None
        self.lifespan: Lifespan | None = None
        self.wanted = True
        """The running document has it."""
        self.running: set[Exchange] = set()
        self.changing = asyncio.Lock()
        """Held while it starts or ends."""
        self.idle = asyncio.Event()
        self.idle.set()

    async def start(self) -> str | None:
        """Starts it unless it lives; returns why it could not."""
        async with self.changing:
            if self.lifespan is not None:
                return None
            self.lifespan = lifespan = Lifespan(self.name, self.application)
            failure = await lifespan.start()
            if failure is not None:
                self.lifespan = None
            self.state = lifespan.state if lifespan.supported else None
            return failure

    async def end(self, patience: float) -> None:
        """Ends it once its requests are over, unless it is wanted again."""
        await self.rest(patience)
        async with self.changing:
            if self.wanted or self.lifespan is None:
                return
            lifespan, self.lifespan = self.lifespan, None
            await lifespan.end()

    async def rest(self, patience: float) -> bool:
        """Waits until nothing of it runs; false when that takes longer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.idle.wait(), patience)
        return self.idle.is_set()


class Apps:
    """The applications of one gateway. Calls that wait come from other threads than the loop's."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._mounted: dict[int, Mounted] = {}
        """By the number of the handler. Whoever is here stays: a request may be late."""
        self._exchanges: dict[int, Exchange] = {}
        """By the number of the job."""

    # ---- requests; on the loop

    def begin(self, job: Job, handler: Handler) -> None:
        """Begins one request of an application, and takes its first step at once."""
        mounted = self._mounted.get(handler.number)
        if mounted is None:
            job.fail(f"app {handler.name} was not started")
            return
        exchange = WebSocketExchange(job, mounted) if job.websocket else HttpExchange(job, mounted)
        mounted.running.add(exchange)
        mounted.idle.clear()
        self._begin(exchange, job, Request(job, self._runner), mounted)

    def begin_socket(self, job: Job, handler: Handler) -> None:
        """Begins one WebSocket of a handler."""
        request = Request(job, self._runner)
        self._begin(SocketExchange(job, handler, request), job, request, None)

    def _begin(self, exchange: Exchange, job: Job, request: Request, mounted: Mounted | None) -> None:
        self._exchanges[job.number] = exchange
        task = start_at_once(self._carry_out(exchange, job, request, mounted), self._runner.loop)
        if not task.done():
            exchange.task = task

    async def _carry_out(self, exchange: Exchange, job: Job, request: Request, mounted: Mounted | None) -> None:
        CURRENT.set(request)
        try:
            await exchange.run()
        finally:
            self._exchanges.pop(job.number, None)
            if mounted is not None:
                mounted.running.discard(exchange)
                if not mounted.running:
                    mounted.idle.set()

    def happened(self, number: int, gone: bool) -> bool:
        """Tells the request of a job that something came for it; false when there is none."""
        exchange = self._exchanges.get(number)
        if exchange is None:
            return False
        exchange.happened(gone)
        return True

    @property
    def is_busy(self) -> bool:
        """Some application has something to do."""
        return bool(self._exchanges)

    def cancel(self) -> None:
        """Cancels what still runs."""
        for exchange in list(self._exchanges.values()):
            if exchange.task is not None:
                exchange.task.cancel()

    # ---- lives; from other threads

    def start(self, numbers: Collection[int]) -> dict[int, str]:
        """Starts those of these handlers that are applications and do not live yet; why some could not, by number."""
        wanted = [self._runner.handlers.list[number] for number in dict.fromkeys(numbers)]
        apps = [handler for handler in wanted if handler.is_app]
        return self._wait(self._start(apps)) if apps else {}

    def keep(self, numbers: Collection[int], patience: float) -> None:
        """Ends all but these, each once its requests are over; does not wait for that."""
        if self._mounted:
            self._wait(self._keep(frozenset(numbers), patience))

    def rest(self, patience: float) -> bool:
        """Waits until no application has anything to do; false when that takes longer than so many seconds."""
        return not self._mounted or self._wait(self._rest(patience))

    def stop(self) -> None:
        """Ends all, and waits for that."""
        if self._mounted:
            self._wait(self._stop())

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        loop = self._runner.loop
        if loop is None or loop.is_closed() or not loop.is_running():
            work.close()
            return {}
        self._runner.must_not_be_the_loop("start or end applications", "a thread: `asyncio.to_thread(...)`")
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def _start(self, handlers: list[Handler]) -> dict[int, str]:
        for handler in handlers:
            self._mounted.setdefault(handler.number, Mounted(handler)).wanted = True
        mounted = [self._mounted[handler.number] for handler in handlers]
        failures = await asyncio.gather(*(one.start() for one in mounted))
        return {
            handler.number: failure for handler, failure in zip(handlers, failures, strict=True) if failure is not None
        }

    async def _keep(self, numbers: frozenset[int], patience: float) -> None:
        for number, mounted in self._mounted.items():
            mounted.wanted = number in numbers
            if not mounted.wanted and mounted.lifespan is not None:
                self._runner.aside(mounted.end(patience))

    def go_away(self) -> None:
        """Tells WebSockets that the gateway is about to end; does not wait for that."""
        if self._exchanges:
            self._wait(self._go_away())

    async def _go_away(self) -> None:
        for exchange in list(self._exchanges.values()):
            self._runner.aside(exchange.go_away())

    async def _rest(self, patience: float) -> bool:
        return all(await _all(mounted.rest(patience) for mounted in self._mounted.values()))

    async def _stop(self) -> None:
        self.cancel()
        for mounted in self._mounted.values():
            mounted.wanted = False
        await _all(mounted.end(CANCELLED_SECONDS) for mounted in self._mounted.values())


async def _all(work: Any) -> list[Any]:
    awaited: list[Awaitable[Any]] = list(work)
    return list(await asyncio.gather(*awaited))
