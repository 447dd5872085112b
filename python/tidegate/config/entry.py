"""One listener, service or route, and all that was found out about it.

Entries outlive a load: while the text of one stays the same, what was made of it is taken again. Nothing here depends
on where in
the document an entry stands; lines and paths are relative to it.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tidegate.config import kong
from tidegate.config.base import Model
from tidegate.config.calling import OVERRIDES
from tidegate.config.check import Check
from tidegate.config.consumers import Consumer
from tidegate.config.files import Files
from tidegate.config.implied import Implied
from tidegate.config.listeners import Listener
from tidegate.config.problem import Finding, Path
from tidegate.config.routes import Route
from tidegate.config.services import Service
from tidegate.config.sources import yaml_source
from tidegate.config.sources.tree import Mark, Tree
from tidegate.config.translate import translate, without_marks
from tidegate.config.versions import check_versions, expanded
from tidegate.plan import PlannedPolicies, Scope, encode, plan_consumer, plan_listener, plan_route, plan_service

MODELS: dict[str, type[Model]] = {
    "listeners": Listener,
    "services": Service,
    "consumers": Consumer,
    "routes": Route,
}
"""The lists of a document, by key."""


class Entry:
    """A part of one of the lists, from its data to its part of the plan."""

    __slots__ = (
        "anew",
        "at",
        "calling",
        "calls",
        "children",
        "composed",
        "data",
        "enabled",
        "fill_findings",
        "filled",
        "findings",
        "fragment",
        "handlers",
        "implied",
        "kind",
        "marks",
        "model",
        "name",
        "networks",
        "parent",
        "plan_findings",
        "policies",
        "prefix",
        "pruned",
        "raw",
        "reads_files",
        "repeats",
        "scope",
        "slim",
        "text",
        "tree",
        "used",
        "versions",
    )

    def __init__(
        self, kind: str, data: Any, tree: Tree | None, prefix: Path, findings: list[Finding], text: str | None = None
    ) -> None:
        """`prefix` is where the entry stands in `tree`, whose text it comes from.

        `text`, if given, is all there is to the entry: it can be made from it again, so that nothing else need be kept.
        """
        self.kind = kind
        self.data, refused = kong.taken(kind, data, MODELS[kind].model_fields)
        self.tree = tree
        self.prefix = prefix
        self.text = text
        self.findings = [*findings, *refused]
        self.filled = data
        self.fill_findings = findings
        self.raw: Any = None
        """The data before `${...}` was filled in, where that has to be done for each load."""
        self.marks: list[Mark] = []
        self.plan_findings: list[Finding] = []
        self.fragment: str | None = None
        self.scope: object = None
        self.reads_files = False
        self.children: list[Entry] = []
        self.slim = False
        """What `text` can bring again was dropped."""
        self.model: Any = None
        self.pruned = bool(self.findings)
        self.implied: Implied | None = None
        """What its policies need beside themselves."""
        self.policies: PlannedPolicies = {}
        """Of a service: its own, for the scope of its routes."""
        self.networks: dict[str, str] = {}
        """Lists of networks that its part of the plan names."""
        self.calling: dict[str, Any] | None = None
        """Of a service: how it is called, for routes that say something about it anew."""
        self.used: tuple[str, ...] = ()
        """Captures that `policies` refer to."""
        known: dict[str, Any] = self.data if isinstance(self.data, dict) else {}
        name = known.get("name")
        self.name: str | None = name if isinstance(name, str) and name else None
        self.handlers: list[tuple[Any, Path, frozenset[str] | None]] = []
        """Functions that it names, and where."""
        self.enabled = True
        if kind == "services" and isinstance(known.get("routes"), list):
            self._adopt(known)
        self._validate()
        self.calls: tuple[Call, ...] = ()
        """Every service that a route names, and where; the first is the one that it belongs to."""
        self.anew: tuple[str, ...] = ()
        """Of a route: the keys by which it says anew how its services are called."""
        if kind == "routes":
            self.calls = _calls(self.model) if self.model is not None else _calls_of(known)
            self.anew = _anew(self.model)
        self.composed = _composed(self.model) if kind == "routes" else ()
        """Every service that a composed answer calls, and where. Their policies do not hold for the route."""
        self.parent: Entry | None = None
        """Of a route that came of one with versions: that one."""
        self.at: Path = ()
        """Of such a route: where its version stands in the parent."""
        self.repeats = False
        """What is wrong with it is told at another entry."""
        self.versions = self._expand()

    @classmethod
    def of_model(cls, kind: str, model: Any) -> Entry:
        """An entry made in Python, valid already."""
        entry = cls.__new__(cls)
        entry.kind, entry.data, entry.tree, entry.prefix, entry.text = kind, model, None, (), None
        entry.findings, entry.plan_findings, entry.fragment, entry.scope = [], [], None, None
        entry.reads_files, entry.pruned, entry.slim, entry.model = False, False, False, model
        entry.name = getattr(model, "name", None)
        entry.calls = _calls(model) if kind == "routes" else ()
        entry.anew = _anew(model) if kind == "routes" else ()
        entry.handlers = []
        entry.enabled = getattr(model, "enabled", True)
        entry.filled, entry.fill_findings, entry.raw, entry.marks = None, [], None, []
        entry.policies, entry.used, entry.children = {}, (), []
        entry.implied, entry.networks = None, {}
        entry.calling = None
        entry.composed = _composed(model) if kind == "routes" else ()
        entry.parent, entry.at, entry.repeats = None, (), False
        entry.versions = entry._expand()
        if kind == "listeners":
            entry.name = model.name or model.address
        if kind == "services":
            entry.children = [cls.of_model("routes", route) for route in model.routes]
            for child in entry.children:
                child.model = child.model.model_copy(update={"service": model.name})
                child.calls = _calls(child.model)
        return entry

    @property
    def is_versioned(self) -> bool:
        """Whether it is a route that others come of: it is none itself."""
        return self.kind == "routes" and self.versions is not None

    def _expand(self) -> tuple[Entry, ...] | None:
        """The routes that come of one with versions; `None` for everything else."""
        if self.kind != "routes" or self.model is None or self.model.versions is None:
            return None
        entries = []
        for found in expanded(self.model):
            entry = Entry.of_model("routes", found.route)
            entry.parent, entry.repeats = self, found.repeats
            entry.at = ("versions",) if found.at is None else ("versions", "list", found.at)
            entry.enabled = self.enabled
            entries.append(entry)
        return tuple(entries)

    def written(self, path: Path) -> Path:
        """A path within this entry as the document has it: what a version does not say stands at its route."""
        if self.parent is None:
            return path
        own = self.at[:2] == ("versions", "list") and path and self._says(str(path[0]), path[1:])
        return (*self.at, *path) if own else path

    def _says(self, key: str, rest: Path) -> bool:
        assert self.parent is not None, "asked for versions only"
        version = self.parent.model.versions.list[self.at[2]]
        if key == "policies" and rest:
            return rest[0] == "api_version" or rest[0] in version.policies.model_fields_set
        return key in version.model_fields_set

    @property
    def service(self) -> str | None:
        """The service that a route belongs to: its policies hold for it, and it goes when that is switched off."""
        return self.calls[0][1] if self.calls else None

    def whole(self) -> Any:
        """The data as written, with the routes of a service in their place."""
        self._revive()
        if not self.children:
            return self.data
        routes = [{key: value for key, value in child.data.items() if key != "service"} for child in self.children]
        return {**self.data, "routes": routes}

    def line(self, path: Path) -> int:
        """The line of a value of this entry, from the start of the text that `tree` was made of."""
        if self.parent is not None:
            return self.parent.line(self.written(path))
        if self.tree is None and self.text is not None:
            self.tree = yaml_source.read(self.text)
        return 1 if self.tree is None else self.tree.line(self.prefix + path)

    def _revive(self) -> None:
        """Makes what `_slim` has dropped."""
        if self.slim and self.text is not None:
            self.slim = False
            self.data, _ = kong.taken(self.kind, yaml_source.read(self.text).value[0], MODELS[self.kind].model_fields)
            self.model = MODELS[self.kind].model_validate(self.data)

    def _slim(self) -> None:
        """Drops what can be made again: thousands of routes would weigh on memory, and on every garbage collection."""
        if self.is_versioned:
            return  # those that came of it look into it
        if self.text is not None and self.kind == "routes" and not self.findings and not self.plan_findings:
            self.data = self.filled = self.model = self.tree = None
            self.slim = True

    def _adopt(self, known: dict[str, Any]) -> None:
        """Takes the routes out of a service that holds them, as Kong writes it."""
        own = dict(known)
        for index, data in enumerate(own.pop("routes")):
            child_data = data
            findings = []
            if isinstance(data, dict):
                if "service" in data and _service_of(data) != self.name:
                    findings.append(
                        Finding(
                            ("service",),
                            "config.bad_value",
                            "a route inside of a service goes to that service",
                            "leave `service` out",
                        )
                    )
                child_data = {**data, "service": self.name or "unnamed"}
            self.children.append(Entry("routes", child_data, self.tree, (*self.prefix, "routes", index), findings))
        self.data = own

    def _validate(self) -> None:
        model = MODELS[self.kind]
        try:
            self.model = model.model_validate(self.data)
        except ValidationError as error:
            filled = {finding.path for finding in self.findings}
            found = [finding for finding in translate(model, error) if finding.path not in filled]
            self.findings = [*self.findings, *found]
            self.pruned = True
            self.model = _validate_rest(model, self.data, [without_marks(entry["loc"]) for entry in error.errors()])
        if self.model is not None and self.kind != "listeners":
            self.enabled = self.model.enabled
        if self.model is not None and self.kind == "listeners":
            self.name = self.model.name or self.model.address

    def plan(self, scope: object, files: Files) -> None:
        """Makes this entry's part of the plan, and notes what is wrong with its meaning."""
        self.scope = scope
        self.plan_findings = []
        self.fragment = None
        self._revive()
        if self.model is None:
            return
        check = self._check(files)
        if self.is_versioned:
            check_versions(self.model, check)
            self.plan_findings = [finding for finding in check.findings if not self._follows(finding)]
            return
        read_before = files.count
        value = _planned(self.kind, self.model, check, scope, files)
        if self.kind == "services":
            inner = Check(anywhere=True, scope=check.scope, files=files)
            policies = self.model.policies.plan(inner, ("policies",))
            self.policies = {} if inner.findings else policies
            self.used = tuple(inner.used)
            self.calling = value["calling"]
            check.findings += inner.findings
            check.handlers += inner.handlers
            check.networks |= inner.networks
            check.implied.add(inner.implied)
        self.reads_files = files.count != read_before
        self.implied = check.implied if check.implied else None
        findings = check.findings
        if self.pruned:
            findings = [finding for finding in findings if not self._follows(finding)]
        self.plan_findings = [] if self.repeats else findings
        self.networks = check.networks
        self.handlers = check.handlers
        if not findings and not self.findings:
            self.fragment = encode(value)
        self._slim()

    def _check(self, files: Files) -> Check:
        captures = None if self.kind == "consumers" else frozenset[str]()
        return Check(captures, scope=f"{self.kind.removesuffix('s')}/{self.name}", files=files)

    def sound_fragment(self, files: Files) -> str | None:
        """The part of the plan without what the findings are about; `None` where too little is left.

        It is for the engine to look through and never served.
        """
        self._revive()
        if self.fragment is not None:
            return self.fragment
        data = self.data
        if isinstance(data, Model):  # made in Python
            data = self.model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        bad = [finding.path for finding in (*self.findings, *self.plan_findings)]
        for _ in range(3):  # what is left may refer to what was taken out
            model = _validate_rest(MODELS[self.kind], data, bad)
            if model is None:
                return None
            check = self._check(files)
            value = _planned(self.kind, model, check, self.scope, files)
            self.networks = check.networks
            if not check.findings:
                return encode(value)
            bad += [finding.path for finding in check.findings]
            if self.kind == "routes" and any(finding.code == "config.missing" for finding in check.findings):
                data = {**data, "respond": {}}
        return None

    def _follows(self, finding: Finding) -> bool:
        """Whether a finding may only be there because a bad part of the entry was left out."""
        size = len(finding.path)
        if finding.path[:1] == ("compose",) and any(known.path[:2] == ("compose", "calls") for known in self.findings):
            return True
        return finding.code == "config.missing" or any(known.path[:size] == finding.path for known in self.findings)


def _planned(kind: str, model: Any, check: Check, scope: object, files: Files) -> Any:
    if kind == "routes":
        assert isinstance(scope, Scope), "routes have a scope"
        return plan_route(model, check, scope)
    if kind == "consumers":
        return plan_consumer(model, check)
    return plan_service(model, check, files) if kind == "services" else plan_listener(model, check, files)


Call = tuple[Path, str]
"""Where a route names a service, and which."""


def _anew(route: Route | None) -> tuple[str, ...]:
    return () if route is None else tuple(key for key in OVERRIDES if key in route.model_fields_set)


def _calls(route: Route) -> tuple[Call, ...]:
    calls: list[Call] = []
    if route.service is not None:
        calls.append((("service",), str(route.service)))
    if route.canary is not None:
        calls.append((("canary", "service"), str(route.canary.service)))
    if route.split is not None:
        calls += [
            (("split", "services", index, "service"), str(side.service))
            for index, side in enumerate(route.split.services)
        ]
    if route.mirror is not None:
        calls.append((("mirror", "service"), str(route.mirror.service)))
    return tuple(calls)


def _composed(route: Route | None) -> tuple[Call, ...]:
    if route is None or route.compose is None:
        return ()
    return tuple(
        (("compose", "calls", name, "service"), str(call.service)) for name, call in route.compose.calls.items()
    )


def _calls_of(known: dict[str, Any]) -> tuple[Call, ...]:
    """Of a route that is not valid."""
    service = _service_of(known)
    return () if service is None else ((("service",), service),)


def _service_of(known: dict[str, Any]) -> str | None:
    service = known.get("service")
    if isinstance(service, dict):
        service = service.get("name")
    return service if isinstance(service, str) else None


def _validate_rest(model: type[Model], data: Any, bad: list[Path]) -> Any:
    """The model of what is left without the bad parts, so that its problems are told at once, too."""
    rest = data
    for path in sorted(set(bad), key=_from_the_back, reverse=True):
        rest = _without(rest, path)
    if isinstance(rest, dict) and not isinstance(rest.get("name"), str) and "name" in model.model_fields:
        rest = {**rest, "name": "unnamed"}
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


def _from_the_back(path: Path) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _without(data: Any, path: Path) -> Any:
    if not path:
        return data
    first, rest = path[0], path[1:]
    if isinstance(data, dict) and first in data:
        return {
            key: _without(value, rest) if key == first else value for key, value in data.items() if rest or key != first
        }
    if isinstance(data, list) and isinstance(first, int) and first < len(data):
        return [
            _without(value, rest) if index == first else value
            for index, value in enumerate(data)
            if rest or index != first
        ]
    return data
