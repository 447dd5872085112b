"""What is sound of a document with problems, as a plan that the engine looks through and nobody serves.

The engine and the import of handlers then find what is wrong with it now, and not once everything else is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from tidegate.actions.handler import handler_name
from tidegate.config.check import Check
from tidegate.config.files import Files
from tidegate.config.loaded import HandlerReference, Planned
from tidegate.config.problem import Path, Problem, quote, render_path
from tidegate.config.services import Service
from tidegate.errors import ConfigError
from tidegate.plan import encode, plan_service

if TYPE_CHECKING:
    from tidegate.config.entry import Entry
    from tidegate.config.resolve import Resolution, Run

Placed = tuple["Run", int]
"""An entry by the list it stands in and its number there."""


def joined(lists: Mapping[str, Iterable[str]], rest: str) -> bytes:
    """The text of a plan from those of its parts: the entries of its lists by key, and all the rest."""
    plan = "{" + "".join(f'"{key}":[{",".join(parts)}],' for key, parts in lists.items()) + rest + "}"
    try:
        return plan.encode()
    except UnicodeEncodeError as error:
        bad = plan[error.start : error.end]
        raise ConfigError([Problem("config.bad_value", f"{quote(bad)} in a text is half of a character")]) from None


def sound_part(resolution: Resolution, rest: str, networks: dict[str, str]) -> Planned:
    """The plan of all entries without what is known to be wrong with them. `rest`: all but the lists of the plan.

    `networks`: the lists of networks of the gateway's policies.
    """
    entries: dict[str, list[Placed]] = {}
    fragments: dict[str, list[str]] = {}
    for kind in resolution.runs:
        entries[kind], fragments[kind] = [], []
        for run, index in _entries(resolution, kind):
            fragment = run.entries[index].sound_fragment(run.files)
            if fragment is not None:
                entries[kind].append((run, index))
                fragments[kind].append(fragment)
    fragments["services"] += [*_stand_ins(entries), *resolution.implied.services.values()]
    return Planned(
        plan=joined(fragments, rest + resolution.networks_part(networks)),
        handlers=_handlers(resolution),
        place=_placing(resolution, entries),
        secrets=resolution.secrets,
    )


def _entries(resolution: Resolution, kind: str) -> Iterable[Placed]:
    """Those that the plan has."""
    for run in resolution.runs[kind]:
        for index, entry in enumerate(run.entries):
            if resolution.is_planned(entry):
                yield run, index


def _stand_ins(entries: dict[str, list[Placed]]) -> list[str]:
    """Services for the routes whose own is missing or broken."""
    there = {run.entries[index].name for run, index in entries["services"]}
    wanted = {service for run, index in entries["routes"] for _, service in _named(run.entries[index])}
    files = Files(FilePath(), lambda _: None)
    services = (Service(name=name, url="http://127.0.0.1") for name in wanted - there)
    return [encode(plan_service(service, Check(), files)) for service in services]


def _named(entry: Entry) -> Iterable[tuple[Path, str]]:
    return (*entry.calls, *entry.composed)


def _handlers(resolution: Resolution) -> tuple[HandlerReference, ...]:
    """Every handler that is named in the right form."""
    uses: dict[Any, list[tuple[tuple[str, str | None, int | None], frozenset[str] | None]]] = {}
    for run, index in (placed for kind in ("services", "routes") for placed in _entries(resolution, kind)):
        entry = run.entries[index]
        for handler, path, captures in entry.handlers:
            if not _is_bad(entry, path):
                uses.setdefault(handler, []).append((resolution.where(run, index, path), captures))
    return tuple(
        HandlerReference(
            handler_name(handler) or "",
            handler,
            tuple(place for place, _ in places),
            tuple(captured for _, captured in places),
        )
        for handler, places in uses.items()
    )


def _is_bad(entry: Entry, path: Path) -> bool:
    return any(finding.path == path for finding in (*entry.findings, *entry.plan_findings))


def _placing(
    resolution: Resolution, entries: dict[str, list[Placed]]
) -> Callable[[Path], tuple[str, str | None, int | None]]:
    def place(path: Path) -> tuple[str, str | None, int | None]:
        kind, number = (path[0], path[1]) if len(path) > 1 else ("", None)
        known = entries.get(str(kind))
        if known is None:
            return resolution.place(path)
        if isinstance(number, int) and number < len(known):
            return resolution.where(*known[number], path[2:])
        return render_path(path), None, None

    return place
