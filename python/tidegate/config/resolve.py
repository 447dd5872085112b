"""Puts the entries of all files together: names to objects, policies of all levels, and the plan, or all problems."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from tidegate.actions.handler import handler_name, numbered
from tidegate.config import addresses, kong
from tidegate.config.apart import Around, not_apart, policies_of_included
from tidegate.config.check import Check
from tidegate.config.document import Document, Section
from tidegate.config.entry import MODELS, Entry
from tidegate.config.files import Files
from tidegate.config.gateway import DEFAULT_LISTENER, Gateway
from tidegate.config.implied import Implied
from tidegate.config.include import ALLOWED, Include, Included, understood
from tidegate.config.interpolate import Interpolation
from tidegate.config.listeners import Listener
from tidegate.config.loaded import HandlerReference, Loaded
from tidegate.config.problem import Finding, Path, Problem, did_you_mean, printable, quote, render_path
from tidegate.config.redact import written_document
from tidegate.config.resolver import Resolver
from tidegate.config.sound import joined, sound_part
from tidegate.config.sources.tree import Mark
from tidegate.config.store import resolve_store
from tidegate.config.translate import translate
from tidegate.errors import ConfigError
from tidegate.plan import PlannedPolicies, Scope, default_policies, encode
from tidegate.store.url import DEFAULT_STORE, StoreUrl

_KEYS = frozenset(field.alias or name for name, field in Gateway.model_fields.items())
_HANDLER = re.compile(r'"handler":\{"id":(\d+),')
"""A function in a part of the plan. Quotes within texts are escaped in JSON, so that this is found nowhere else."""
_LISTS = ("trusted_proxies",)
"""Lists that are no entries; they too are concatenated over files."""


@dataclass(slots=True)
class Run:
    """Entries that stand together: a list of a file, or the routes of a service."""

    shown: str | None
    path: Path
    entries: list[Entry]
    offsets: list[int]
    files: Files
    apart: FilePath | None = None
    """The included document that it belongs to; `None`: the gateway's own."""
    at: list[int] | None = None
    """Of routes that came of others: the places of those. `None`: the entries stand as they are written."""


@dataclass(slots=True)
class _Setting:
    """A top-level key that is no list of entries, and the pieces it was made of."""

    sections: list[tuple[str, Section]]
    value: Any


class Resolution:
    """One load, from the documents of its files to the plan."""

    def __init__(self, known_scopes: dict[str, Scope] | None = None) -> None:
        self.problems: list[Problem] = []
        self.runs: dict[str, list[Run]] = {kind: [] for kind in MODELS}
        self.settings: dict[str, _Setting] = {}
        self.files: dict[FilePath, None] = {}
        self.documents: dict[FilePath, str] = {}
        """The files of the document and their text."""
        self.watched: list[FilePath] = []
        """Folders whose files make up the document."""
        self.folder = FilePath()
        self.folders: dict[str, FilePath] = {}
        """The folder of the file that holds a setting."""
        self.gateway: Gateway | None = None
        self.scopes: dict[str, Scope] = {}
        self.known_scopes = known_scopes or {}
        self.secrets: dict[str, str] = {}
        """What came from the environment or from files, and the reference that stands for it."""
        self.disabled: set[str] = set()
        """Names of services that are left out, and their routes with them."""
        self.included: dict[FilePath, Included] = {}
        """Documents that are included, those that are left out among them."""
        self.policies_apart: dict[FilePath, tuple[Section, str, FilePath]] = {}
        self._owners: dict[str, tuple[FilePath | None, Entry]] = {}
        """Services, and the included document that each belongs to."""
        self._around: dict[FilePath | None, Around] = {}
        self.networks_apart: dict[str, str] = {}
        self.implied = Implied()
        self._handlers: dict[int, tuple[int, Any, list[tuple[Run, int, Path, frozenset[str] | None]]]] = {}

    def seen(self, file: FilePath) -> None:
        """Notes a file that was read or looked for."""
        self.files[file] = None

    # ---- taking documents in

    def add_gateway(self, gateway: Gateway, base: FilePath) -> None:
        """Takes a gateway made in Python."""
        self.gateway = gateway
        self.folder = base
        files = Files(base, self.seen)
        for kind in MODELS:
            entries = [Entry.of_model(kind, model) for model in getattr(gateway, kind)]
            self._add_run(kind, Run(None, (kind,), entries, [0] * len(entries), files))

    def includes(self) -> list[Include]:
        """What the documents so far include."""
        if self.gateway is not None:
            return self.gateway.include
        setting = self.settings.get("include")
        return [] if setting is None else understood(setting.value)

    def add(self, document: Document, filling: Interpolation, apart: FilePath | None = None) -> None:
        """Takes one file; `apart`: it is included."""
        for mark in document.marks:
            self.problems.append(_of_mark(mark, document.shown))
        self.secrets |= filling.filled
        files = Files(filling.folder, self.seen)
        for section in document.sections:
            self.findings(section.findings, section, document.shown)
            if apart is not None and section.key not in ALLOWED:
                self.findings([not_apart(section.key, _KEYS)], section, document.shown)
                continue
            if section.key == "listeners" and section.entries == []:
                hint = f"leave `listeners` out for `{DEFAULT_LISTENER}`"
                self.findings([Finding((), "config.bad_value", "must not be empty", hint)], section, document.shown)
            if section.entries is not None:
                offsets = section.offsets or [section.offset] * len(section.entries)
                self._add_run(section.key, Run(document.shown, (section.key,), section.entries, offsets, files, apart))
            elif section.key in MODELS:
                if section.value is not None:
                    finding = Finding((), "config.wrong_type", "expected a list", "put `- ` before each entry")
                    self.findings([finding], section, document.shown)
            elif apart is not None:
                self.policies_apart[apart] = (section, document.shown, filling.folder)
            else:
                self._add_setting(section, document.shown)
                self.folders.setdefault(section.key, filling.folder)

    def _add_run(self, kind: str, run: Run) -> None:
        if kind == "routes":
            self._add_versions(run)
        if kind == "services":
            for index, (entry, offset) in enumerate(zip(run.entries, run.offsets, strict=True)):
                if entry.children:
                    path = (*run.path, index, "routes")
                    offsets = [offset] * len(entry.children)
                    self._add_run("routes", Run(run.shown, path, entry.children, offsets, run.files, run.apart))
        self.runs[kind].append(run)

    def _add_versions(self, run: Run) -> None:
        """Adds the routes that came of those with versions."""
        for index, (entry, offset) in enumerate(zip(run.entries, run.offsets, strict=True)):
            if entry.versions:
                count = len(entry.versions)
                versions = list(entry.versions)
                self.runs["routes"].append(
                    Run(run.shown, run.path, versions, [offset] * count, run.files, run.apart, [index] * count)
                )

    def _add_setting(self, section: Section, shown: str) -> None:
        known = self.settings.get(section.key)
        if known is None:
            self.settings[section.key] = _Setting([(shown, section)], section.value)
        elif section.key in _LISTS and isinstance(known.value, list) and isinstance(section.value, list):
            known.sections.append((shown, section))
            known.value = known.value + section.value
        else:
            first_shown, first = known.sections[0]
            where = f"{first_shown}:{first.offset + first.tree.line(first.prefix)}"
            message = f"`{section.key}` is already set in {where}"
            finding = Finding((), "config.duplicate_key", message, "keep it in one of the files")
            self.findings([finding], section, shown)

    def findings(self, findings: Iterable[Finding], section: Section, shown: str) -> None:
        for finding in findings:
            line = section.offset + section.tree.line(section.prefix + finding.path)
            path = render_path((section.key, *finding.path))
            self.problems.append(Problem(finding.code, finding.message, path, shown, line, finding.hint))

    def _setting_findings(self, findings: Iterable[Finding]) -> None:
        """Findings whose path begins with the key of a setting."""
        for finding in findings:
            setting = self.settings.get(str(finding.path[0])) if finding.path else None
            if setting is None:
                self.problems.append(
                    Problem(finding.code, finding.message, render_path(finding.path), hint=finding.hint)
                )
                continue
            shown, section = setting.sections[0]
            rest = finding.path[1:]
            for piece_shown, piece in setting.sections if len(setting.sections) > 1 and rest else ():
                shown, section = piece_shown, piece
                if isinstance(rest[0], int) and rest[0] >= len(piece.value):
                    rest = (rest[0] - len(piece.value), *rest[1:])
                else:
                    break
            self.findings([Finding(rest, *finding[1:])], section, shown)

    # ---- putting them together

    def finish(self) -> Loaded:
        """The plan, or `ConfigError` with every problem."""
        settings = self._resolve_settings()
        check = Check(files=Files(self.folders.get("policies", self.folder), self.seen))
        policies = settings.policies.plan(check, ("policies",))
        gateway_policies = {**default_policies(), **({} if check.findings else policies)}
        networks = [
            addresses.network(text, check, ("trusted_proxies", index))
            for index, text in enumerate(settings.trusted_proxies)
        ]
        admin = None
        if settings.admin is not None:
            admin = addresses.listener_address(settings.admin.address, check, ("admin", "address"))
        store = resolve_store(settings.store, self.folders.get("store", self.folder), check, ("store",))
        redis = None
        if settings.redis is not None:
            files = Files(self.folders.get("redis", self.folder), self.seen)
            redis = settings.redis.plan(check, ("redis",), files)
        overload = None if settings.overload is None else settings.overload.plan(check, ("overload",))
        resolver = settings.resolver.plan(check, ("resolver",))
        self._setting_findings(check.findings)
        if check.findings:
            networks, redis, overload, resolver = [], None, None, Resolver().plan(Check(), ())
        for handler, *_ in check.handlers:
            self._handlers.setdefault(numbered(handler), (len(self._handlers), handler, []))
        listeners = self._listeners()
        consumers = self._consumers()
        services = self._services(gateway_policies)
        base = self._around[None].scope
        self._around |= policies_of_included(self, gateway_policies)
        routes = self._routes()
        self._imply(check.implied)
        services += self.implied.services.values()
        routes += self.implied.routes(encode(Scope(default_policies(), {}, ()).over({})))
        lists = {"listeners": listeners, "services": services, "routes": routes, "consumers": consumers}
        log = settings.access_log
        if isinstance(log, dict):
            log = {"file": str(self.folders.get("access_log", self.folder) / log["file"])}
        rest = (
            f'"access_log":{encode(log)},"trusted_proxies":{encode(networks)},'
            f'"drain_timeout_ms":{settings.drain_timeout},"policies":{encode(base.over({}))},'
            f'"key_store":{encode(store is not None)},"redis":{encode(redis)},"overload":{encode(overload)},'
            f'"resolver":{encode(resolver)}'
        )
        rest = _HANDLER.sub(self._renumbered, rest)
        networks_of_all = check.networks | self.networks_apart
        if self.problems:
            problems = [problem.without(self.secrets) for problem in self.problems]
            raise ConfigError(
                problems, self.files, lambda: sound_part(self, rest, networks_of_all), self.included.values()
            )
        return Loaded(
            plan=joined(lists, rest + self.networks_part(networks_of_all)),
            handlers=self._handler_list(),
            admin=admin,
            workers=settings.workers,
            drain_timeout_ms=int(settings.drain_timeout),
            store=store,
            usage_store=store.url if store else StoreUrl.parse(DEFAULT_STORE, self._beside()),
            files=tuple(self.files),
            documents=self.documents,
            folders=tuple(self.watched),
            included=tuple(self.included.values()),
            place=self.place,
            written=lambda: written_document(self),
            secrets=self.secrets,
            signing=tuple(self.implied.kept.values()),
            target_files=self.implied.target_files,
        )

    def networks_part(self, gateway: dict[str, str]) -> str:
        """The lists of networks that the plan names: those of the gateway's policies and of all entries."""
        named = dict(gateway)
        for run in (run for runs in self.runs.values() for run in runs):
            for entry in run.entries:
                if entry.networks:
                    named |= entry.networks
        return f',"networks":{encode(named)}'

    def _beside(self) -> FilePath:
        """The folder of the document, of the first file if there are several."""
        return next((file.parent for file in self.documents), self.folder)

    def _resolve_settings(self) -> Gateway:
        if self.gateway is not None:
            return self.gateway
        written = {key: setting.value for key, setting in self.settings.items()}
        data, refused = kong.taken("gateway", written, _KEYS)
        self._setting_findings(refused)
        try:
            return Gateway.model_validate(data)
        except ValidationError as error:
            findings = translate(Gateway, error)
            self._setting_findings(findings)
            bad = {finding.path[0] for finding in findings}
            return Gateway.model_validate({key: value for key, value in data.items() if key not in bad})

    def _listeners(self) -> list[str]:
        if not self.runs["listeners"]:
            entry = Entry.of_model("listeners", Listener(address=DEFAULT_LISTENER))
            self._add_run("listeners", Run(None, ("listeners",), [entry], [0], Files(FilePath(), self.seen)))
        for run in self.runs["listeners"]:
            for entry in run.entries:
                entry.plan(None, run.files)
        self._unique("listener", [entry.name for run in self.runs["listeners"] for entry in run.entries])
        return self._collect("listeners")

    def _consumers(self) -> list[str]:
        for run in self.runs["consumers"]:
            for entry in run.entries:
                if entry.scope is not True or entry.reads_files:
                    entry.plan(True, run.files)
        self._unique("consumer", [entry.name for run in self.runs["consumers"] for entry in run.entries])
        return self._collect("consumers")

    def _services(self, gateway: PlannedPolicies) -> list[str]:
        """The services of the plan."""
        key = encode(gateway)
        self._around[None] = Around(key, gateway, self.scope(key, gateway, None))
        for run in self.runs["services"]:
            for entry in run.entries:
                if entry.scope is not True or entry.reads_files:
                    entry.plan(True, run.files)
                if entry.name is not None:
                    self._owners[entry.name] = run.apart, entry
                    if not entry.enabled:
                        self.disabled.add(entry.name)
        self._unique("service", [entry.name for run in self.runs["services"] for entry in run.entries])
        return self._collect("services")

    def scope(self, key: str, gateway: PlannedPolicies, service: Entry | None) -> Scope:
        """The same scope for the same policies and calls, also over several loads: what was made for it stays good."""
        policies, used, calling = (
            (service.policies, sorted(service.used), service.calling) if service is not None else ({}, [], None)
        )
        if service is not None:
            key = f"{key}{encode([policies, used, calling])}"
        scope = self.scopes.get(key)
        if scope is None:
            scope = self.known_scopes.get(key) or Scope(gateway, policies, used, calling)
            self.scopes[key] = scope
        return scope

    def _routes(self) -> list[str]:
        names: list[str | None] = []
        scopes: dict[FilePath | None, dict[str, Scope]] = {}
        for run in self.runs["routes"]:
            if run.apart not in scopes:
                scopes[run.apart] = self._scopes_for(run.apart)
            visible = scopes[run.apart]
            for index, entry in enumerate(run.entries):
                names.append(entry.name)
                if entry.is_versioned:
                    if entry.scope is not True:
                        entry.plan(True, run.files)
                    continue
                scope = self._around[run.apart].scope
                for place, (path, service) in enumerate(entry.calls):
                    known = visible.get(service)
                    if known is None:
                        if not entry.repeats:
                            self._unknown_service(run, index, path, service, visible)
                    elif place == 0:
                        scope = known
                    else:
                        self._check_other(run, index, path, service, known, scope)
                if entry.composed:
                    scope = self._composing(run, index, visible, self._around[run.apart].scope)
                if entry.scope is not scope or entry.reads_files:
                    entry.plan(scope, run.files)
        self._unique("route", names)
        return self._collect("routes")

    def _composing(self, run: Run, index: int, scopes: dict[str, Scope], base: Scope) -> Scope:
        """The scope of a composed answer: the gateway's, and how its services are called."""
        entry = run.entries[index]
        called: dict[str, Any] = {}
        for path, service in entry.composed:
            known = scopes.get(service)
            if known is None:
                if not entry.repeats:
                    self._unknown_service(run, index, path, service, scopes)
            elif service in self.disabled and entry.enabled:
                message = f"the service {quote(service)} is switched off"
                self._entry_problem(run, index, Finding(path, "config.bad_value", message, "leave the call out, too"))
            else:
                called[service] = known.calling
        key = encode([base.policies, called])
        scope = self.scopes.get(key) or self.known_scopes.get(key) or Scope(base.policies, {}, (), called=called)
        self.scopes[key] = scope
        return scope

    def _scopes_for(self, apart: FilePath | None) -> dict[str, Scope]:
        """The scopes of the services that a document can name: its own, and the gateway's."""
        around = self._around[apart]
        return {
            name: self.scope(around.key, around.policies, entry)
            for name, (owner, entry) in self._owners.items()
            if owner is None or owner == apart
        }

    def _imply(self, of_gateway: Implied) -> None:
        """Collects what the policies of all parts need beside themselves."""
        self.implied.add(of_gateway)
        for runs in self.runs.values():
            for run in runs:
                for entry in run.entries:
                    if entry.implied is not None and entry.enabled and entry.service not in self.disabled:
                        self.implied.add(entry.implied)
        names = {entry.name for run in self.runs["services"] for entry in run.entries}
        for name in names & self.implied.services.keys():
            message = f"a service named {quote(str(name))} is in the way of a policy that asks at this `url`"
            self.problems.append(Problem("config.duplicate_name", message, hint="give the service another name"))

    def _collect(self, kind: str) -> list[str]:
        """The parts of the plan of one kind; findings become problems on the way."""
        fragments: list[str] = []
        for run in self.runs[kind]:
            for index, entry in enumerate(run.entries):
                if entry.findings or entry.plan_findings:
                    for finding in (*entry.findings, *entry.plan_findings):
                        self._entry_problem(run, index, finding)
                elif self.is_planned(entry) and entry.fragment is not None:
                    fragment = entry.fragment
                    for handler, path, captures in entry.handlers:
                        uses = self._handlers.setdefault(numbered(handler), (len(self._handlers), handler, []))[2]
                        uses.append((run, index, path, captures))
                    fragment = _HANDLER.sub(self._renumbered, fragment)
                    fragments.append(fragment)
        return fragments

    def is_planned(self, entry: Entry) -> bool:
        """It is switched on, or is a consumer: the plan has all of these, since whoever is switched off is refused."""
        if entry.is_versioned:
            return False  # those that came of it are
        return entry.kind == "consumers" or (entry.enabled and entry.service not in self.disabled)

    def _renumbered(self, match: re.Match[str]) -> str:
        """A function with the number that it has in this document: its place in the list of them."""
        known = self._handlers.get(int(match[1]))
        # A route may have it from a service that has problems; then this plan is never taken.
        return f'"handler":{{"id":{known[0]},' if known else match[0]

    def _handler_list(self) -> tuple[HandlerReference, ...]:
        out = []
        for _, handler, uses in self._handlers.values():
            places = tuple(self.where(run, index, path) for run, index, path, _ in uses)
            captures = tuple(captured for *_, captured in uses)
            out.append(HandlerReference(handler_name(handler) or "", handler, places, captures))
        return tuple(out)

    def _unique(self, noun: str, names: list[str | None]) -> None:
        """Notes every name that is there already; a set tells first whether there is one."""
        if len(set(names)) == len(names):
            return
        first: dict[str, tuple[Run, int]] = {}
        for run in self.runs[f"{noun}s"]:
            for index, entry in enumerate(run.entries):
                if entry.name is None:
                    continue
                if entry.name not in first:
                    first[entry.name] = (run, index)
                    continue
                other, place = first[entry.name]
                path, file, line = self.where(other, place, ("name",))
                where = f" in {file}:{line}" if file else f" at `{path}`"
                message = f"a {noun} named {quote(entry.name)} is already there{where}"
                key = "name" if noun != "listener" or entry.model.name else "address"
                self._entry_problem(run, index, Finding((key,), "config.duplicate_name", message))

    def _check_other(self, run: Run, index: int, path: Path, service: str, other: Scope, own: Scope) -> None:
        """Checks a service that a route names beside its own."""
        entry = run.entries[index]
        if not entry.enabled or entry.service in self.disabled:
            return
        if service in self.disabled:
            message = f"the service {quote(service)} is switched off"
            self._entry_problem(run, index, Finding(path, "config.bad_value", message, "leave it out here, too"))
        elif path == ("mirror", "service"):
            return  # what it gets has passed the route's policies, and what it answers goes nowhere
        elif other.policies != own.policies or other.used != own.used:
            # Whichever held, the others' requests would lack what their service's policies are there for.
            message = f"the services {quote(str(entry.service))} and {quote(service)} have different policies"
            hint = "give both the same, or write them at the route"
            self._entry_problem(run, index, Finding(path, "config.bad_value", message, hint))
        elif entry.anew and other.calling != own.calling:
            # What the route leaves unsaid would be one service's for all.
            message = f"{quote(entry.anew[0])} cannot be said anew for services that are called in different ways"
            self._entry_problem(
                run, index, Finding((entry.anew[0],), "config.bad_value", message, "write it at each service")
            )

    def _unknown_service(self, run: Run, index: int, path: Path, service: str, known: dict[str, Scope]) -> None:
        if run.path != ("routes",) and path == ("service",):
            return
        hint = did_you_mean(service, known) or (None if known else "the document has no services")
        if (owner := self._owners.get(service)) is not None and owner[0] is not None:
            hint = f"that of `{owner[0]}` is its own: a service for several documents belongs into the including one"
        if "://" in service:
            hint = "write it as the `url` of a service under `services`, and that service's `name` here"
        message = f"no service is named {quote(service)}"
        self._entry_problem(run, index, Finding(path, "config.unknown_name", message, hint))

    # ---- places

    def where(self, run: Run, index: int, path: Path) -> tuple[str, str | None, int | None]:
        """Path in the document, file and line of a value of an entry."""
        entry = run.entries[index]
        line = None if run.shown is None else run.offsets[index] + entry.line(path)
        place = index if run.at is None else run.at[index]
        return render_path((*run.path, place, *entry.written(path))), run.shown, line

    def _entry_problem(self, run: Run, index: int, finding: Finding) -> None:
        path, file, line = self.where(run, index, finding.path)
        self.problems.append(Problem(finding.code, finding.message, path, file, line, finding.hint))

    def place(self, path: Path) -> tuple[str, str | None, int | None]:
        """The place of a part of the plan."""
        kind = str(path[0]) if path else ""
        if kind in self.settings:
            shown, section = self.settings[kind].sections[0]
            return render_path(path), shown, section.offset + section.tree.line(section.prefix + path[1:])
        if len(path) < 2 or not isinstance(path[1], int):
            return render_path(path), None, None
        number, path = path[1], path[2:]
        for run in self.runs.get(kind, ()):
            for index, entry in enumerate(run.entries):
                if self.is_planned(entry):
                    if number == 0:
                        return self.where(run, index, path)
                    number -= 1
        return render_path((kind, *path)), None, None


def _of_mark(mark: Mark, shown: str) -> Problem:
    message = mark.message if mark.also is None else f"{mark.message} {mark.also}"
    return Problem(mark.code, printable(message), render_path(mark.path), shown, mark.line, mark.hint)
