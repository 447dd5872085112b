"""One listener, service or route, and all that was found out about it.

Entries outlive a load: while the text of one stays the same, what was made of it is taken again. Nothing here depends
on where in
the document an entry stands; lines and paths are relative to it.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.consumers import Consumer
from tidegate.config.files import Files
from tidegate.config.listeners import Listener
from tidegate.config.problem import Finding, Path
from tidegate.config.routes import Route
from tidegate.config.services import Service
from tidegate.config.sources import yaml_source
from tidegate.config.sources.tree import Mark, Tree
from tidegate.config.translate import translate
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
        "children",
        "data",
        "enabled",
        "fill_findings",
        "filled",
        "findings",
        "fragment",
        "handler",
        "kind",
        "marks",
        "model",
        "name",
        "plan_findings",
        "policies",
        "prefix",
        "pruned",
        "raw",
        "reads_files",
        "scope",
        "service",
        "slim",
        "text",
        "tree",
        "used",
    )

    def __init__(
        self, kind: str, data: Any, tree: Tree | None, prefix: Path, findings: list[Finding], text: str | None = None
    ) -> None:
        """`prefix` is where the entry stands in `tree`, whose text it comes from.

        `text`, if given, is all there is to the entry: it can be made from it again, so that nothing else need be kept.
        """
        self.kind = kind
        self.data = data
        self.tree = tree
        self.prefix = prefix
        self.text = text
        self.findings = findings
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
        self.pruned = bool(findings)
        self.policies: PlannedPolicies = {}
        """Of a service: its own, for the scope of its routes."""
        self.used: tuple[str, ...] = ()
        """Captures that `policies` refer to."""
        known: dict[str, Any] = data if isinstance(data, dict) else {}
        name = known.get("name")
        self.name: str | None = name if isinstance(name, str) and name else None
        self.handler: Any = None
        self.enabled = True
        if kind == "services" and isinstance(known.get("routes"), list):
            self._adopt(known)
        self._validate()
        self.service: str | None = None
        if kind == "routes":
            self.service = self.model.service if self.model is not None else _service_of(known)

    @classmethod
    def of_model(cls, kind: str, model: Any) -> Entry:
        """An entry made in Python, valid already."""
        entry = cls.__new__(cls)
        entry.kind, entry.data, entry.tree, entry.prefix, entry.text = kind, model, None, (), None
        entry.findings, entry.plan_findings, entry.fragment, entry.scope = [], [], None, None
        entry.reads_files, entry.pruned, entry.slim, entry.model = False, False, False, model
        entry.name = getattr(model, "name", None)
        entry.service = model.service if kind == "routes" else None
        entry.handler = model.handler if kind == "routes" else None
        entry.enabled = getattr(model, "enabled", True)
        entry.filled, entry.fill_findings, entry.raw, entry.marks = None, [], None, []
        entry.policies, entry.used, entry.children = {}, (), []
        if kind == "listeners":
            entry.name = model.name or model.address
        if kind == "services":
            entry.children = [cls.of_model("routes", route) for route in model.routes]
            for child in entry.children:
                child.model = child.model.model_copy(update={"service": model.name})
                child.service = model.name
        return entry

    def whole(self) -> Any:
        """The data as written, with the routes of a service in their place."""
        self._revive()
        if not self.children:
            return self.data
        routes = [{key: value for key, value in child.data.items() if key != "service"} for child in self.children]
        return {**self.data, "routes": routes}

    def line(self, path: Path) -> int:
        """The line of a value of this entry, from the start of the text that `tree` was made of."""
        if self.tree is None and self.text is not None:
            self.tree = yaml_source.read(self.text)
        return 1 if self.tree is None else self.tree.line(self.prefix + path)

    def _revive(self) -> None:
        """Makes what `_slim` has dropped."""
        if self.slim and self.text is not None:
            self.slim = False
            self.data = yaml_source.read(self.text).value[0]
            self.model = MODELS[self.kind].model_validate(self.data)

    def _slim(self) -> None:
        """Drops what can be made again: thousands of routes would weigh on memory, and on every garbage collection."""
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
            self.model = _validate_rest(model, self.data, [entry["loc"] for entry in error.errors()])
        if self.model is not None and self.kind != "listeners":
            self.enabled = self.model.enabled
        if self.model is not None and self.kind == "listeners":
            self.name = self.model.name or self.model.address
        if self.model is not None and self.kind == "routes":
            self.handler = self.model.handler

    def plan(self, scope: object, files: Files) -> None:
        """Makes this entry's part of the plan, and notes what is wrong with its meaning."""
        self.scope = scope
        self.plan_findings = []
        self.fragment = None
        self._revive()
        if self.model is None:
            return
        check = Check(frozenset(), scope=f"{self.kind.removesuffix('s')}/{self.name}")
        if self.kind == "routes" and isinstance(scope, Scope):
            value: Any = plan_route(self.model, check, scope)
        elif self.kind == "services":
            read_before = files.count
            value = plan_service(self.model, check, files)
            self.reads_files = files.count != read_before
            inner = Check(anywhere=True, scope=check.scope)
            self.policies = self.model.policies.plan(inner, ("policies",))
            self.used = tuple(inner.used)
            check.findings += inner.findings
        elif self.kind == "consumers":
            check.captures = None
            value = plan_consumer(self.model, check)
        else:
            value = plan_listener(self.model, check, files)
        findings = check.findings
        if self.pruned:
            findings = [finding for finding in findings if not self._follows(finding)]
        self.plan_findings = findings
        if not findings and not self.findings:
            self.fragment = encode(value)
        self._slim()

    def _follows(self, finding: Finding) -> bool:
        """Whether a finding may only be there because a bad part of the entry was left out."""
        size = len(finding.path)
        return finding.code == "config.missing" or any(known.path[:size] == finding.path for known in self.findings)


def _service_of(known: dict[str, Any]) -> str | None:
    service = known.get("service")
    if isinstance(service, dict):
        service = service.get("name")
    return service if isinstance(service, str) else None


def _validate_rest(model: type[Model], data: Any, bad: list[Path]) -> Any:
    """The model of what is left without the bad parts, so that its problems are told at once, too."""
    rest = data
    for path in sorted(set(bad), key=lambda path: [str(part) for part in path], reverse=True):
        rest = _without(rest, path)
    if isinstance(rest, dict) and not isinstance(rest.get("name"), str) and "name" in model.model_fields:
        rest = {**rest, "name": "unnamed"}
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


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
