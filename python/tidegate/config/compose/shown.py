"""A composed answer as people read it: its calls by level, and as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.config import references
from tidegate.config.compose.graph import levels
from tidegate.config.values import show_duration

Plan = dict[str, Any]
_FIXED = {planned: written for written, planned in references.FIXED.items()}


@dataclass(frozen=True, slots=True)
class ShownCall:
    """One call."""

    name: str
    level: int
    """0 for calls that begin at once."""
    request: str
    """`GET order-service /orders/{path.order_id}`."""
    notes: tuple[str, ...]
    """What is special about it, such as `optional`."""


def shown_calls(compose: Plan) -> list[ShownCall]:
    """The calls by level, in the order of the document."""
    names = [call["name"] for call in compose["calls"]]
    of_level = levels({number: call["needs"] for number, call in enumerate(compose["calls"])}, len(names))
    made = [_call(call, names, level, compose) for call, level in zip(compose["calls"], of_level, strict=True)]
    return sorted(made, key=lambda call: call.level)


def _call(call: Plan, names: Sequence[str], level: int, compose: Plan) -> ShownCall:
    notes = []
    if call["for_each"] is not None:
        notes.append(f"for each {_source(call['for_each']['over'], names)}, {call['for_each']['concurrency']} at once")
    if call["needs"]:
        notes.append(f"needs {', '.join(names[number] for number in call['needs'])}")
    if call["when"] is not None:
        notes.append(f"when {_when(call['when'], names)}")
    if call["optional"]:
        notes.append("optional")
    if call["timeout_ms"] is not None:
        notes.append(f"within {show_duration(call['timeout_ms'])}")
    if call["fallback"] is not None:
        notes.append(f"else {names[call['fallback']]}")
    number = names.index(call["name"])
    if number in _only_fallbacks(compose):
        notes.append(f"only if {' or '.join(_fallback_of(number, compose))} fails")
    request = f"{call['method']} {call['proxy']['service']} {_text(call['path'], names)}"
    return ShownCall(call["name"], level, request, tuple(notes))


def _fallback_of(number: int, compose: Plan) -> list[str]:
    return [call["name"] for call in compose["calls"] if call["fallback"] == number]


def _only_fallbacks(compose: Plan) -> set[int]:
    """Calls that nothing names but a `fallback`."""
    named = {number for part in (compose, *compose["calls"], *compose["views"]) for number in part["needs"]}
    return {call["fallback"] for call in compose["calls"] if call["fallback"] is not None} - named


# ---- references, as they are written


def _text(parts: Iterable[Plan], names: Sequence[str]) -> str:
    return "".join(part["text"] if "text" in part else _source(part["source"], names) for part in parts)


def _source(source: Any, names: Sequence[str]) -> str:
    match source:
        case {"call": [number, steps]}:
            return _braced(names[number], steps)
        case {"item": [_, steps]}:
            return _braced("item", steps)
        case {"body": steps}:
            return _braced("body", steps)
        case {"request": reference}:
            return "{" + _reference(reference) + "}"
    return "{index}"


def _reference(reference: Any) -> str:
    if isinstance(reference, str):
        return _FIXED[reference]
    ((kind, name),) = reference.items()
    return f"{kind}.{'.'.join(name) if isinstance(name, list) else name}"


def _braced(head: str, steps: Iterable[str]) -> str:
    return "{" + ".".join([head, *steps]) + "}"


def _when(when: Plan, names: Sequence[str]) -> str:
    if "cel" in when:
        return str(when["cel"]["expression"])
    return " and ".join(_condition(source, values, present, names) for source, values, present in when["fields"])


def _condition(source: Any, values: list[dict[str, str]], present: bool, names: Sequence[str]) -> str:
    shown = _source(source, names)
    if not values:
        return f"{shown} is there" if present else f"{shown} is not there"
    written = (value.get("exact", f"~{value.get('regex')}") for value in values)
    return f"{shown} is {' or '.join(written)}"


# ---- answers


def shown_answers(compose: Plan) -> list[tuple[str, str]]:
    """Each shape of the answer, and what it takes."""
    names = [call["name"] for call in compose["calls"]]
    out = [("response", _needs(compose["needs"], names))]
    for view in compose["views"]:
        out.append((f"view {view['name']}", f"{_needs(view['needs'], names)}  when {_when(view['when'], names)}"))
    return out


def _needs(needs: Sequence[int], names: Sequence[str]) -> str:
    return ", ".join(names[number] for number in needs) or "no call"


def mermaid(title: str, compose: Plan) -> str:
    """The graph as a Mermaid flowchart. Dashed are optional calls and fallbacks."""
    return "\n".join(["flowchart LR", f"  request([{_label(title)}])", *_nodes(compose), *_edges(compose)])


def _nodes(compose: Plan) -> Iterator[str]:
    shown = {call.name: call for call in shown_calls(compose)}
    for number, call in enumerate(compose["calls"]):
        notes = [note for note in shown[call["name"]].notes if not note.startswith(("needs ", "else ", "only if "))]
        label = _label(call["name"], shown[call["name"]].request, *notes)
        yield f"  c{number}[[{label}]]" if call["for_each"] is not None else f"  c{number}[{label}]"
    yield f"  answer([{_label('response')}])"
    for number, view in enumerate(compose["views"]):
        yield f"  v{number}([{_label('view ' + view['name'])}])"


def _edges(compose: Plan) -> Iterator[str]:
    lazy = _only_fallbacks(compose)
    for number, call in enumerate(compose["calls"]):
        if not call["needs"] and number not in lazy:
            yield f"  request --> c{number}"
        yield from (f"  c{needed} --> c{number}" for needed in call["needs"])
        if call["fallback"] is not None:
            yield f"  c{number} -. fails .-> c{call['fallback']}"
    for node, part in (("answer", compose), *((f"v{at}", view) for at, view in enumerate(compose["views"]))):
        for number in part["needs"]:
            yield f"  c{number} {'-.->' if compose['calls'][number]['optional'] else '-->'} {node}"


def _label(*lines: str) -> str:
    text = "<br/>".join(_escaped(line) for line in lines)
    return f'"{text}"'


def _escaped(text: str) -> str:
    """Text without what Mermaid takes for its own."""
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;")):
        text = text.replace(sign, code)
    return " ".join(text.split())
