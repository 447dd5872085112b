"""One running document: the engine, and the handlers beside it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from typing import Any

from tidegate._native import Engine
from tidegate.config import Loaded, Target
from tidegate.config.percent import WHOLE
from tidegate.config.verify import found
from tidegate.errors import CompileError, ConfigError, ListenError, UsageError
from tidegate.extend.runner import Runner
from tidegate.identity.key_sources import KeySources
from tidegate.plan import encode
from tidegate.serve.apps import ServedApps
from tidegate.serve.background import Background
from tidegate.serve.breaker_events import BreakerEvents
from tidegate.serve.quotas import QuotaBook
from tidegate.serve.signing_keys import Files, SigningKeys
from tidegate.serve.source import Documents
from tidegate.serve.target_files import TargetFiles
from tidegate.store.sync import KeySync

FIRST_KEYS_SECONDS = 10.0
"""Longest wait for the first load of the key store; a store that is known to be down is not waited for."""
FIRST_QUOTAS_SECONDS = 10.0
"""The same for what the store has of quotas."""


class Server:
    """Starts, reloads, drains and stops; callable from any thread. Calls that wait block their caller.

    The runner belongs to the caller, who decides which loop its coroutines run on.
    """

    def __init__(self, loaded: Loaded, runner: Runner, workers: int | None = None, *, exclusive: bool = False) -> None:
        """Starts; raises `ConfigError` or `ListenError` and leaves nothing behind when it cannot.

        `exclusive`: addresses are not shared with other processes, which is how another may take over.
        """
        self.runner = runner
        self.loaded = loaded
        self.draining = False
        self.refused: str | None = None
        """Why the last reload was refused; `None` while the running document is the last one given."""
        self.background = Background()
        self.key_sync: KeySync | None = None
        """Follows the store of keys, where the document has one."""
        self.quotas: QuotaBook | None = None
        """Carries quotas over restarts."""
        self._changing = threading.Lock()
        self._stopped = False
        self._moved = 0.0
        self._signing = SigningKeys(lambda: time.time() + self._moved)
        self._rotates = False
        signing = self._signing.read(loaded.signing)
        count = workers or loaded.workers or _processors()
        self._apps = ServedApps(runner)
        try:
            numbers = self._apps.begin(loaded)
            self._engine = Engine(
                loaded.plan,
                workers=count,
                bridge=runner.bridge,
                handlers=numbers,
                exclusive=exclusive,
                signing_keys=[(name, keys) for name, (_, keys) in signing.items()],
            )
        except (CompileError, ConfigError) as error:
            self._apps.stop()
            raise _refusal(loaded, error) from None
        except ListenError:
            self._apps.stop()
            raise
        self._apps.go_on(numbers, 0)
        self.workers = count
        self._sign_with(signing)
        self._keep_quotas()
        self._follow_keys()
        self._target_files = TargetFiles(self.set_targets)
        self._target_files.follow(loaded.target_files)
        self._issuer_keys = KeySources(self._engine, self.background)
        self._issuer_keys.reconcile()
        self._breaker_events = BreakerEvents(self._engine, self.background, runner)
        self._tell_of_breakers()

    def reload(self, loaded: Loaded) -> None:
        """Puts another document in place of the running one.

        Raises `ConfigError` or `ListenError` when it cannot, and then has changed nothing.
        """
        with self._changing:
            signing = self._signing.read(loaded.signing)
            for name, (_, keys) in signing.items():
                self._engine.put_signing_keys(name, keys)
            try:
                numbers = self._apps.begin(loaded)
                self._engine.reload(loaded.plan, numbers)
            except (CompileError, ConfigError) as error:
                self._apps.go_back()
                raise _refusal(loaded, error) from None
            except ListenError:
                self._apps.go_back()
                raise
            self._apps.go_on(numbers, loaded.drain_timeout_ms / 1000)
            self.loaded = loaded
            self.refused = None
            self._sign_with(signing)
            self._target_files.follow(loaded.target_files)
            self._keep_quotas()
            self._follow_keys()
            self._issuer_keys.reconcile()
            self._tell_of_breakers()

    def reload_from(self, documents: Documents, *, document: bool = True) -> Loaded:
        """Reads a document and puts it in place; a refusal is counted, and its reason kept in `refused`.

        Without `document` the running one stays, and only the files that it names are read again.
        """
        try:
            try:
                loaded = documents.load(None if document else self.loaded)
            except ConfigError:
                self._engine.refused()
                raise
            self.reload(loaded)
        except (ConfigError, ListenError) as error:
            self.refused = str(error)
            raise
        if loaded.broken:
            self._engine.refused()
        return loaded

    def addresses(self) -> dict[str, tuple[str, int] | None]:
        """Host and port of each listener, by name; `None` for UNIX sockets."""
        return {name: bound for name, _, _, bound in self._engine.listeners()}

    def urls(self) -> dict[str, str]:
        """Each listener as a client would write it, by name."""
        return {name: _url(address, tls, bound) for name, address, tls, bound in self._engine.listeners()}

    def services(self) -> list[str]:
        """The names of the services."""
        return [name for name, _, _ in self._engine.services()]

    def targets(self, service: str) -> tuple[bool, list[Target]]:
        """Whether a service is spoken to over TLS, and the targets it has at present; raises `KeyError`."""
        for name, tls, targets in self._engine.services():
            if name == service:
                return tls, [
                    Target(address=address, weight=weight, priority=priority, resolve=resolve)
                    for address, weight, priority, resolve in targets
                ]
        raise KeyError(service)

    def set_targets(self, service: str, planned: list[dict[str, Any]] | None) -> None:
        """Puts others in place of the targets of a service, at once; `None`: what the document says.

        Raises `KeyError` where there is no such service.
        """
        if not self._engine.set_targets(service, None if planned is None else encode(planned).encode()):
            raise KeyError(service)

    def metrics(self, accept: str = "") -> tuple[str, str]:
        """What was counted, as content type and Prometheus text, in the form that suits an `Accept` header."""
        return self._engine.metrics(accept)

    def health(self) -> list[dict[str, Any]]:
        """The services with their targets, and what is known of these."""
        services: list[dict[str, Any]] = json.loads(self._engine.health())
        return services

    def keys_missing(self) -> list[str]:
        """Where keys of token issuers are that have not come yet; until they have, the gateway is not ready."""
        return self._engine.keys_missing()

    def canaries(self) -> list[dict[str, Any]]:
        """Where the canaries of the document are."""
        found: list[dict[str, Any]] = json.loads(self._engine.canaries())
        # As in the metrics.
        return [{**canary, "share": canary["share"] / WHOLE} for canary in found]

    def command_canary(self, route: str, command: str) -> bool:
        """Pauses, resumes, promotes, rolls back or restarts a route's canary; false where that means nothing now."""
        done = self._engine.command_canary(route, command)
        if done is None:
            raise UsageError(f"the route `{route}` has no canary")
        return done

    def breakers(self) -> list[dict[str, Any]]:
        """Every circuit breaker with its state, and for how many more seconds it is open."""
        return [
            {"breaker": name, "state": state, "open_for": left_ms / 1000}
            if state == "open"
            else {"breaker": name, "state": state}
            for name, state, left_ms in sorted(self._engine.breakers())
        ]

    def force_breaker(self, name: str, state: str) -> bool:
        """Forces a breaker `open` or `closed`, or leaves it to itself again (`auto`); false when there is none."""
        return self._engine.force_breaker(name, {"open": True, "closed": False, "auto": None}[state])

    def _tell_of_breakers(self) -> None:
        if b'"on_change":{' in self.loaded.plan:
            self._breaker_events.follow()

    def drain(self, timeout_ms: int | None = None) -> bool:
        """Stops accepting and waits for what is open, by default as long as the document says.

        True when all of it finished in time.
        """
        self.draining = True
        patience = self.loaded.drain_timeout_ms if timeout_ms is None else timeout_ms
        self._apps.go_away()
        until = time.monotonic() + patience / 1000
        return self._engine.drain(patience) and self._apps.rest(max(0, until - time.monotonic()))

    def stop(self) -> None:
        """Ends everything at once; may be called again."""
        self._stopped, stopped = True, self._stopped
        if not stopped:
            self._target_files.stop()
            self.background.stop()
            self._breaker_events.stop()
            self._engine.stop()
            self._apps.stop()
            if self.quotas is not None:
                self.quotas.close()

    def _keep_quotas(self) -> None:
        """Writes quotas to the store of the document; what was counted goes on when that is another one."""
        before = book = self.quotas
        if book is None or book.url != self.loaded.usage_store:
            book = self.quotas = QuotaBook(self.loaded.usage_store, self._engine)
            if before is not None:
                before.close()
                self._engine.expect_quota_totals()
            self.background.spawn(book.run(), "quotas")
        elif self._engine.awaits_quota_totals():
            # The first document with a quota: its turn would come within a second, and requests would wait for it.
            self.background.spawn(asyncio.to_thread(book.turn), "quotas")
        if self._engine.awaits_quota_totals():
            book.wait(FIRST_QUOTAS_SECONDS)

    def awaits_quotas(self) -> bool:
        """Whether quotas of the store have not been read yet; until they have, the gateway is not ready."""
        return self._engine.awaits_quota_totals()

    def _follow_keys(self) -> None:
        """Follows the store of the document, and waits for its keys a little; one that is followed already goes on."""
        settings, sync = self.loaded.store, self.key_sync
        if sync is not None and settings is not None and sync.follows(settings.url, settings.poll):
            return
        if sync is not None:
            sync.stop()
            if settings is None or settings.url != sync.url:
                # Keys of another store must not serve in the name of this one, not even until it answers. On the loop,
                # so that the old following has put its last ones before.
                self.background.call(self._engine.forget_keys)
        self.key_sync = None
        if settings is not None:
            self.key_sync = KeySync(settings.url, self._engine, settings.poll)
            self.background.spawn(self.key_sync.run(), "keys")
            self.key_sync.wait(FIRST_KEYS_SECONDS)

    def advance(self, seconds: float) -> None:
        """Moves the clock of the engine and of its keys forward; for tests."""
        self._moved += seconds
        self._engine.advance(round(seconds * 1000))
        self._signing.look(self._engine.put_signing_keys)

    def inject_delay(self, seconds: float) -> None:
        """Lets every worker seem so late, beside what it is; for tests."""
        self._engine.inject_delay(round(seconds * 1000))

    def _sign_with(self, files: Files) -> None:
        """Follows the files of keys of the running document."""
        self._signing.use(files)
        if files and not self._rotates:
            self._rotates = True
            self.background.spawn(self._signing.keep_looking(self._engine.put_signing_keys), "signing keys")


def _url(address: str, tls: bool, bound: tuple[str, int] | None) -> str:
    if bound is None:
        return f"http+{address}"
    host, port = bound
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _refusal(loaded: Loaded, error: CompileError | ConfigError) -> ConfigError:
    """Every problem of a document that was refused: the handlers come first, and hide what the engine would find."""
    known = loaded.problems(error.found) if isinstance(error, CompileError) else error.problems
    return ConfigError({*known, *found(loaded)}, loaded.files)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
