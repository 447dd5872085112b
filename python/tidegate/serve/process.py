"""The process around a gateway: start, signals, reload, drain, stop."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tidegate.admin import AdminServer
from tidegate.config import Loaded
from tidegate.config.warnings import warnings
from tidegate.errors import ConfigError, ListenError, TidegateError
from tidegate.extend.loop_thread import LoopThread
from tidegate.extend.runner import Runner
from tidegate.serve.banner import banner
from tidegate.serve.included import tell_of_broken
from tidegate.serve.log import log_to_stderr
from tidegate.serve.open_files import allow_open_files, make_room_for_files
from tidegate.serve.server import Server
from tidegate.serve.source import Documents, Source
from tidegate.serve.watch import Watcher

LOG = logging.getLogger("tidegate.serve")

APP_NICE = 5
"""Lowers the app loop's priority: Python that spins then leaves the processor to the workers."""

GIVE_UP_MS = 2000
"""How long requests that came during a start that failed may take."""

Order = Literal["reload", "changed", "stop", "drained"]


def run(source: Source, *, watch: bool = False, workers: int | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code of the process.

    SIGHUP reads the document again; so does every change of its files with `watch`. The files that it names
    (certificates, keys, `${file:...}`) are read again when they change, with `watch` or without. The first SIGTERM or
    SIGINT drains, the second stops at once.
    """
    log_to_stderr()
    allow_open_files()
    make_room_for_files()
    try:
        process = Process(source, workers)
    except TidegateError as error:
        print(_report(error), file=sys.stderr)
        return 1
    try:
        code = process.run(watch=watch)
    finally:
        process.close()
    LOG.info("stopped pid=%d", os.getpid())
    return code


def _report(error: TidegateError) -> str:
    if isinstance(error, ConfigError):
        count = len(error.problems)
        return f"{error}\n{count} problem{'' if count == 1 else 's'}; nothing was started"
    return str(error)


def _settle_garbage() -> None:
    """Takes what the start made out of the collector's sight: it stays, and handlers make little that forms cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Process:
    """A gateway, its app loop and its admin listener, with the orders that signals and the watcher give."""

    def __init__(self, source: Source, workers: int | None = None) -> None:
        self._started = time.perf_counter()
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._documents = Documents(source)
        loaded = self._documents.load()
        self._fixed = {"admin": loaded.admin, "workers": loaded.workers}
        self._app = LoopThread("tidegate-app", nice=APP_NICE)
        self._runner = Runner()
        self._admin: AdminServer | None = None
        with contextlib.ExitStack() as undo:
            undo.callback(self._app.stop)
            self._app.call(lambda: self._runner.attach(self._app.loop))
            undo.callback(self._app.call, self._runner.detach)
            self.server = Server(loaded, self._runner, workers)
            undo.callback(self._give_up)
            self._start_admin(loaded)
            undo.pop_all()
        self._watcher = Watcher()
        self._watch_document = False
        self._ready = time.perf_counter()

    def run(self, *, watch: bool) -> int:
        """Carries out orders until one of them ends the process."""
        with self._signals():
            self._watch(document=watch)
            _settle_garbage()
            self._announce()
            while True:
                match self._orders.get():
                    case "reload" | "changed" if self.server.draining:
                        LOG.info("reload ignored reason=draining")
                    case "reload":
                        self._reload("SIGHUP")
                    case "changed":
                        self._reload("files changed", document=self._watch_document)
                    case "stop" if self.server.draining:
                        LOG.info("stopping at once")
                        return 0
                    case "stop":
                        self._drain()
                    case "drained":
                        return 0

    def _announce(self) -> None:
        """Says that it is up, once signals find their handlers and changes their watcher."""
        tell_of_broken(self.server.loaded)
        print(banner(self.server, self._admin, self._ready - self._started), file=sys.stderr, flush=True)
        for problem in warnings(self.server.loaded):
            print(f"warning: {problem}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends everything that still runs."""
        self._watcher.close()
        self.server.stop()
        if self._admin is not None:
            self._admin.stop()
        # A handler that spins may never let the loop go; its thread is a daemon and ends with the process.
        self._app.loop.call_soon_threadsafe(self._runner.detach)
        self._app.stop()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        orders: dict[int, Order] = {signal.SIGHUP: "reload", signal.SIGTERM: "stop", signal.SIGINT: "stop"}
        before = {number: signal.getsignal(number) for number in orders}
        for number, order in orders.items():
            # SimpleQueue.put is reentrant, so it may be called from a signal handler.
            signal.signal(number, lambda *_, order=order: self._orders.put(order))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _give_up(self) -> None:
        """Ends a start that failed. Of another gateway with the same port, clients may have come here already."""
        self.server.drain(GIVE_UP_MS)
        self.server.stop()

    def _start_admin(self, loaded: Loaded) -> None:
        if loaded.admin is not None:
            self._admin = AdminServer(loaded.admin, self.server)

    def _watch(self, *, document: bool) -> None:
        self._watch_document = document
        self._watch_files()

        def work() -> None:
            while self._watcher.wait():
                self._orders.put("changed")

        threading.Thread(target=work, name="tidegate-watch", daemon=True).start()

    def _watch_files(self, *more: Path) -> None:
        """Watches the files of the running document, or only those that it names, and `more`."""
        loaded = self.server.loaded
        if self._watch_document:
            if self._watcher.watch(dict.fromkeys((*loaded.files, *more)), loaded.folders):
                self._orders.put("changed")
        else:
            self._watcher.watch(loaded.named)

    def _reload(self, why: str, *, document: bool = True) -> None:
        started = time.perf_counter()
        try:
            self.server.reload_from(self._documents, document=document)
        except (ConfigError, ListenError) as error:
            if isinstance(error, ConfigError):
                # What would mend it may be a file the running document does not know.
                self._watch_files(*error.files)
            LOG.error("reload refused reason=%s\n%s\nthe running configuration was not changed", _value(why), error)
            return
        except Exception:
            # Our mistake or the system's; traffic must not pay for it.
            LOG.exception("reload failed reason=%s", _value(why))
            return
        self._watch_files()
        tell_of_broken(self.server.loaded)
        LOG.info("reloaded reason=%s after_ms=%.1f", _value(why), (time.perf_counter() - started) * 1000)
        for setting, value in self._fixed.items():
            if getattr(self.server.loaded, setting) != value:
                LOG.warning("changed setting waits for the next start setting=%s", setting)
        if document:
            # Comparing thousands of routes takes longer than the reload; the next one need not wait for it.
            threading.Thread(target=self._warn, name="tidegate-warnings", daemon=True).start()

    def _warn(self) -> None:
        loaded = self.server.loaded
        found = warnings(loaded)
        if found and loaded is self.server.loaded:
            LOG.warning("the document has warnings count=%d\n%s", len(found), "\n".join(map(str, found)))

    def _drain(self) -> None:
        LOG.info("draining timeout_ms=%d pid=%d", self.server.loaded.drain_timeout_ms, os.getpid())

        def work() -> None:
            if not self.server.drain():
                LOG.warning("drain timed out; what was still open is cut off")
            self._orders.put("drained")

        self.server.draining = True
        threading.Thread(target=work, name="tidegate-drain", daemon=True).start()


def _value(text: str) -> str:
    return f'"{text}"' if " " in text else text
