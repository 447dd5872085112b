"""Runs handlers: coroutines on one event loop, plain functions on threads.

The worker that has a request puts a job into the bridge's queue; one readable pipe wakes the loop, which takes jobs in
batches and steps each coroutine at once. Most are over after that step and never see the loop again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from tidegate._native import Bridge, Job
from tidegate.errors import BadContent, ClientGone
from tidegate.extend.answer import answer, answer_blocking, stream
from tidegate.extend.eager import start_at_once
from tidegate.extend.handlers import Handler, Handlers, Kind
from tidegate.extend.request import Request

LOG = logging.getLogger("tidegate.handlers")

WAITING_JOBS = 1024
"""Jobs that may wait for the loop, and as many for the threads, before requests are refused with 503."""
THREADS = 32
"""Threads for plain functions; started when the first of them is loaded."""
BATCH = 64
"""Jobs taken at once: few enough that the loop's other work gets its turn."""

READABLE, WRITABLE, GONE = range(3)
"""Events of the bridge."""


class Runner:
    """The side of the bridge that has the interpreter."""

    def __init__(self) -> None:
        self.bridge = Bridge(WAITING_JOBS)
        self.handlers = Handlers(self._set_blocking)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: dict[tuple[int, int], asyncio.Future[None]] = {}
        self._aside: set[asyncio.Task[None]] = set()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to run coroutines on `loop`; called on its thread."""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        loop.add_reader(self.bridge.fileno(), self._woken)

    def detach(self) -> None:
        """Cancels what still runs and takes no more; called on the loop's thread."""
        if self._loop is not None:
            self._loop.remove_reader(self.bridge.fileno())
        self.bridge.close()
        for task in (*self._tasks.values(), *self._aside):
            task.cancel()

    # ---- coroutines

    def _woken(self) -> None:
        self._drain(woken=True)

    def _drain(self, woken: bool = False) -> None:
        jobs, events = self.bridge.drain(BATCH, woken)
        for job in jobs:
            self._begin(job)
        for kind, number in events:
            self._happened(kind, number)
        if (jobs or events) and self._loop is not None:
            self._loop.call_soon(self._drain)

    def _begin(self, job: Job) -> None:
        if job.gone:
            return
        work = self._carry_out(self.handlers.list[job.handler], Request(job, self), job)
        task = start_at_once(work, self._loop)
        if not task.done():
            self._tasks[job.number] = task

    async def _carry_out(self, handler: Handler, request: Request, job: Job) -> None:
        try:
            if handler.kind is Kind.STREAM:
                await stream(job, handler.function(request), self)
            else:
                await answer(job, await handler.function(request), self)
        except asyncio.CancelledError:
            if not job.gone:
                job.fail(f"handler {handler.name} was cancelled")
        except BaseException as error:
            failed(handler, request, job, error)
        finally:
            self._tasks.pop(job.number, None)

    def _happened(self, kind: int, number: int) -> None:
        if kind == GONE:
            # A task that never began has no end to take it off the list.
            if task := self._tasks.pop(number, None):
                task.cancel()
        elif (future := self._waiting.get((number, kind))) and not future.done():
            future.set_result(None)

    async def readable(self, job: Job) -> None:
        """Waits until more of the body may be there."""
        await self._wait(job.number, READABLE)

    async def writable(self, job: Job) -> None:
        """Waits until more of the answer may be sent."""
        await self._wait(job.number, WRITABLE)

    async def _wait(self, number: int, kind: int) -> None:
        assert self._loop is not None
        future = self._waiting[number, kind] = self._loop.create_future()
        try:
            await future
        finally:
            del self._waiting[number, kind]

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins a coroutine that nobody waits for; from any thread. Without a loop it is not begun."""
        loop = self._loop
        if loop is None or loop.is_closed():
            work.close()
            return
        try:
            loop.call_soon_threadsafe(self._begin_aside, work)
        except RuntimeError:  # it closed meanwhile
            work.close()

    def _begin_aside(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._aside.add(task)  # the loop alone would let a task be collected in the middle of its work
        task.add_done_callback(self._aside.discard)

    # ---- plain functions

    def _set_blocking(self, number: int) -> None:
        self.bridge.set_blocking(number)
        while len(self._threads) < THREADS:
            name = f"tidegate-handler-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (job := self.bridge.take_blocking()) is not None:
            if job.gone:
                continue
            handler = self.handlers.list[job.handler]
            request = Request(job, self)
            try:
                answer_blocking(job, handler.function(request), self)
            except BaseException as error:
                failed(handler, request, job, error)

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the loop and waits for it; for threads."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def must_not_be_the_loop(self, what: str, instead: str) -> None:
        """Refuses what would block every handler."""
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError(f"a coroutine cannot {what} without blocking all others: use {instead}")


def failed(handler: Handler, request: Request, job: Job, error: BaseException) -> None:
    """Answers 500 with the request's id, and puts the traceback into the log, never into the answer.

    A body that cannot be read is the client's fault: 400, and no line in the log of events.
    """
    if isinstance(error, ClientGone) and job.gone:
        return
    if isinstance(error, BadContent):
        job.bad_content(f"handler {handler.name}: {error}")
        return
    LOG.error(
        "handler failed handler=%s request_id=%s method=%s path=%s",
        handler.name,
        request.id,
        request.method,
        request.path,
        exc_info=error,
    )
    job.fail(f"handler {handler.name} raised {type(error).__name__}")
