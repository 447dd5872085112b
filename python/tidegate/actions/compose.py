"""A route whose answer is put together from the answers of several services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tidegate.config.check import Check
from tidegate.config.compose.conditions import plan_when
from tidegate.config.compose.graph import cycle, reachable
from tidegate.config.compose.models import MOST_CALLS, Compose
from tidegate.config.compose.names import Names
from tidegate.config.compose.planned import forwarded, plan_call
from tidegate.config.compose.shapes import check_name, plan_shape
from tidegate.config.problem import Path, quote

if TYPE_CHECKING:
    from tidegate.config.routes import Route

_ROOT: Path = ("compose",)
_OF_VIEWS = "and a view is chosen before any call is made"


def plan_compose(
    compose: Compose, route: Route, check: Check, calling: Callable[[str], Mapping[str, Any]]
) -> dict[str, Any]:
    """The action as the engine takes it. `calling`: how a service is called, where a call says nothing else."""
    return {"compose": _Planning(compose, check).plan(route, calling)}


class _Planning:
    """One composed answer, and who needs whom in it."""

    def __init__(self, compose: Compose, check: Check) -> None:
        self.compose, self.check = compose, check
        self.numbers = {name: number for number, name in enumerate(compose.calls)}
        self.names = tuple(compose.calls)
        self.bodies: list[Path] = []
        self.edges: dict[int, dict[int, Path]] = {}
        """The calls that each call needs or falls back to, and where it says so."""
        self.answers: list[tuple[Path, set[int]]] = []
        """The calls that each shape of the answer names."""

    def _scope(self) -> Names:
        return Names(self.numbers, self.check, bodies=self.bodies)

    def plan(self, route: Route, calling: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        compose, check = self.compose, self.check
        if len(compose.calls) > MOST_CALLS:
            message = f"there are {len(compose.calls)} calls; one answer has at most {MOST_CALLS}"
            check.problem((*_ROOT, "calls"), "bad_value", message)
        for name in compose.calls:
            check_name(name, self._scope(), (*_ROOT, "calls", name), "a call")
        forwarded(compose.forward_headers, check, (*_ROOT, "forward_headers"))
        calls = [self._call(name, calling) for name in compose.calls]
        response, needs = self._answer(compose.response, (*_ROOT, "response"))
        views = [self._view(name) for name in compose.views]
        self._check_graph()
        return {
            "timeout_ms": compose.timeout if route.timeout is None else min(compose.timeout, route.timeout),
            "calls": calls,
            "views": views,
            "response": response,
            "needs": needs,
            "fields": compose.fields,
            "errors": compose.errors,
            "server_timing": compose.server_timing,
            "max_calls": compose.max_calls,
            "answer_bytes": compose.max_answer,
            "max_depth": compose.max_depth,
            "reads_body": bool(self.bodies),
        }

    def _call(self, name: str, calling: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        names, path = self._scope(), (*_ROOT, "calls", name)
        planned = plan_call(name, self.compose, names, calling, path)
        self.edges[self.numbers[name]] = dict(sorted(names.needs.items()))
        if planned["fallback"] is not None:
            self.edges[self.numbers[name]].setdefault(planned["fallback"], (*path, "fallback"))
        return planned

    def _answer(self, data: Any, path: Path) -> tuple[dict[str, Any], list[int]]:
        names = self._scope()
        shape = plan_shape(data, names, path)
        self.answers.append((path, set(names.needs)))
        return shape, sorted(names.needs)

    def _view(self, name: str) -> dict[str, Any]:
        view, path = self.compose.views[name], (*_ROOT, "views", name)
        if not name:
            self.check.problem(path, "bad_name", "a view has a name")
        early = Names(self.numbers, self.check, has_calls=False, why_not=_OF_VIEWS)
        when = plan_when(view.when, early, (*path, "when"))
        response, needs = self._answer(view.response, (*path, "response"))
        return {"name": name, "when": when, "response": response, "needs": needs}

    def _check_graph(self) -> None:
        if any(finding.code in ("config.bad_reference", "config.unknown_name") for finding in self.check.findings):
            return  # who is meant by those is not known
        edges: dict[int, dict[int, Path]] = dict(self.edges)
        while circle := cycle(edges, len(self.names)):
            shown = " -> ".join(self.names[number] for number in [*circle, circle[0]])
            path = edges[circle[0]][circle[1 % len(circle)]]
            self.check.problem(path, "cycle", f"calls wait for each other: {shown}")
            edges |= {number: {} for number in circle}
        used = reachable(self.edges, (number for _, needs in self.answers for number in needs))
        for number, name in enumerate(self.names):
            if number not in used:
                message = f"nobody uses the call {quote(name)}"
                hint = f'write `"{{{name}}}"` into `response`, or leave the call out'
                self.check.problem((*_ROOT, "calls", name), "unused_call", message, hint)
        for path, needs in self.answers:
            made = len(reachable(self.edges, needs))
            if made > self.compose.max_calls:
                message = f"it takes {made} calls, and `max_calls` is {self.compose.max_calls}"
                self.check.problem(path, "bad_value", message)
