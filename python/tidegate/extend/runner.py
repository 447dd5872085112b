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

from pydantic_core import to_json

from tidegate._native import Bridge, Job
from tidegate.errors import BadContent, ClientGone, ComposeFailed, InvalidRequest
from tidegate.extend.answer import answer, answer_blocking, stream
from tidegate.extend.asgi.apps import Apps
from tidegate.extend.calls import call_of
from tidegate.extend.current import CURRENT
from tidegate.extend.eager import start_at_once
from tidegate.extend.handlers import Handler, Handlers
from tidegate.extend.kind import Kind
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
        self.apps = Apps(self)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: dict[tuple[int, int], asyncio.Future[None]] = {}
        self._aside: set[asyncio.Task[None]] = set()
        self._threads: list[threading.Thread] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where coroutines run."""
        self._loop_thread = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to run coroutines on `loop`; called on its thread."""
        self.loop = loop
        self._loop_thread = threading.get_ident()
        self.bridge.set_loop(loop)
        loop.add_reader(self.bridge.fileno(), self._woken)

    def detach(self) -> None:
        """Cancels what still runs and takes no more; called on the loop's thread."""
        if self.loop is not None:
            self.loop.remove_reader(self.bridge.fileno())
        self.bridge.close()
        self.apps.cancel()
        for task in (*self._tasks.values(), *self._aside):
            task.cancel()

    # ---- coroutines

    def _woken(self) -> None:
        self._drain(woken=True)

    def _drain(self, woken: bool = False) -> None:
        jobs, events, calls = self.bridge.drain(BATCH, woken)
        # A handler whose client has left is cancelled, before it hears that its calls have failed.
        for kind, number in events:
            self._happened(kind, number)
        for call in calls:
            call.wake()
        for job in jobs:
            self._begin(job)
        if (jobs or events or calls) and self.loop is not None:
            self.loop.call_soon(self._drain)

    def _begin(self, job: Job) -> None:
        if job.gone:
            return
        handler = self.handlers.list[job.handler]
        if handler.is_app:
            self.apps.begin(job, handler)
            return
        if handler.kind is Kind.WEBSOCKET:
            self.apps.begin_socket(job, handler)
            return
        work = self._carry_out(handler, Request(job, self), job)
        task = start_at_once(work, self.loop)
        if not task.done():
            self._tasks[job.number] = task

    async def _carry_out(self, handler: Handler, request: Request, job: Job) -> None:
        CURRENT.set(request)
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
        if self.apps.happened(number, kind == GONE):
            return
        if kind == GONE:
            # A task that never began has no end to take it off the list.
            if task := self._tasks.pop(number, None):
                task.cancel()
        elif (future := self._waiting.get((number, kind))) and not future.done():
            future.set_result(None)

    async def readable(self, number: int) -> None:
        """Waits until more may be there of what a job or a call receives."""
        await self._wait(number, READABLE)

    async def writable(self, number: int) -> None:
        """Waits until more may be sent of what a job or a call sends."""
        await self._wait(number, WRITABLE)

    async def _wait(self, number: int, kind: int) -> None:
        assert self.loop is not None
        future = self._waiting[number, kind] = self.loop.create_future()
        try:
            await future
        finally:
            del self._waiting[number, kind]

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins a coroutine that nobody waits for; from any thread. Without a loop it is not begun."""
        loop = self.loop
        if loop is None or loop.is_closed():
            work.close()
            return
        try:
            loop.call_soon_threadsafe(self._begin_aside, work)
        except RuntimeError:  # it closed meanwhile
            work.close()

    def _begin_aside(self, work: Coroutine[Any, Any, None]) -> None:
        self.aside(work)

    def aside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begins a coroutine in a task of its own; called on the loop's thread."""
        assert self.loop is not None
        task = self.loop.create_task(work)
        self._aside.add(task)  # the loop alone would let a task be collected in the middle of its work
        task.add_done_callback(self._aside.discard)
        return task

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
            token = CURRENT.set(request)
            try:
                answer_blocking(job, handler.function(request), self)
            except BaseException as error:
                failed(handler, request, job, error)
            finally:
                CURRENT.reset(token)

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine on the loop and waits for it; for threads."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def must_not_be_the_loop(self, what: str, instead: str) -> None:
        """Refuses what would block every handler."""
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError(f"a coroutine cannot {what} without blocking all others: use {instead}")

    def must_be_the_loop(self) -> None:
        """Refuses to await where the loop does not run."""
        if threading.get_ident() != self._loop_thread:
            hint = "use `request.call_blocking(...)`"
            raise RuntimeError(f"calls are awaited on the loop of the gateway, and this is another thread: {hint}")


def failed(handler: Handler, request: Request, job: Job, error: BaseException) -> None:
    """Answers 500 with the request's id, and puts the traceback into the log, never into the answer.

    What the handler cannot take is the client's fault: 400 or 422. A call that came to nothing is the service's: 502,
    503 or 504, as if the route led to it. Neither is a line in the log of events.
    """
    if isinstance(error, ClientGone) and job.gone:
        return
    if isinstance(error, BadContent):
        job.bad_content(f"handler {handler.name}: {error}")
        return
    if isinstance(error, InvalidRequest):
        members = b',"errors":' + to_json(error.errors)
        job.refuse("invalid_request", f"handler {handler.name}: {error}", members)
        return
    if isinstance(error, ComposeFailed):
        told = {"call": error.part, "reason": error.reason, "upstream_status": error.status}
        members = to_json({name: value for name, value in told.items() if value})
        job.refuse(error.code, f"handler {handler.name}: {error}", b"," + members[1:-1])
        return
    if (call := call_of(error)) is not None:
        job.fail_as(call.code, f"handler {handler.name}: {call}")
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
