"""Templates of JSON: constants, values of calls as they are, and what is made of them."""

from __future__ import annotations

import json
import re
from typing import Any

from tidegate.config.compose.conditions import plan_cel
from tidegate.config.compose.names import NAME, SOURCES, Names
from tidegate.config.problem import Path, did_you_mean, quote

Shape = dict[str, Any]

_KEYS = ("$from", "$without", "$only", "$first", "$for_each", "$value", "$cel")
_BESIDE = {"$from": ("$without", "$only"), "$for_each": ("$value",), "$first": (), "$cel": ()}
"""The keys that make a form, and those that may stand beside them."""
_CONSTANT: Shape = {"constant": "null"}


def plan_shape(data: Any, names: Names, path: Path) -> Shape:
    """A template as the engine takes it."""
    if isinstance(data, str):
        return _text(data, names, path)
    if isinstance(data, list | tuple):
        return {"array": [plan_shape(value, names, (*path, index)) for index, value in enumerate(data)]}
    if not isinstance(data, dict):
        return {"constant": dump(data)}
    if any(isinstance(key, str) and re.match(r"\$(?!\$)", key) for key in data):
        return _form(data, names, path)
    if len(data) == 1 and list(data.values()) == [None] and next(iter(data)).partition(".")[0] in names.calls:
        # `{order}` without quotes: YAML takes it for a mapping.
        written = next(iter(data))
        names.check.problem(path, "bad_reference", "a reference stands in quotes", f'write `"{{{written}}}"`')
    members = []
    for key, value in data.items():
        name = str(key)
        if re.search(r"\{[^{}]*\}", name):
            names.check.problem((*path, name), "bad_reference", f"the name {quote(name)} takes no references")
        members.append(
            [name.removeprefix("$") if name.startswith("$$") else name, plan_shape(value, names, (*path, name))]
        )
    return {"object": members}


def dump(value: Any) -> str:
    """A constant as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(text: str, names: Names, path: Path) -> Shape:
    parts = names.parts(text, path)
    if all("text" in part for part in parts):
        return {"constant": dump("".join(part["text"] for part in parts))}
    return {"value": parts[0]["source"]} if len(parts) == 1 else {"text": parts}


def _form(data: dict[str, Any], names: Names, path: Path) -> Shape:
    """An object with keys that begin with `$`."""
    check = names.check
    form = next((key for key in data if key in _BESIDE), None)
    for key in data:
        if form is not None and (key == form or key in _BESIDE[form]):
            continue
        hint = "write `$$` for a name that begins with `$`" if key.startswith("$") else None
        if key in _KEYS:
            hint = "`$without` and `$only` go with `$from`, `$value` goes with `$for_each`"
            message = f"{quote(key)} does not go with {quote(form)}" if form else f"{quote(key)} stands alone"
        elif key.startswith("$"):
            message, hint = f"unknown key {quote(key)}", did_you_mean(key, _KEYS) or hint
        else:
            message = (
                f"{quote(key)} stands beside {quote(form)}" if form else f"{quote(key)} stands beside keys with `$`"
            )
            hint = "such an object has no members of its own"
        check.problem((*path, key), "unknown_key", message, hint)
    if form is None:
        return _CONSTANT
    return {"$from": _from, "$first": _first, "$for_each": _for_each, "$cel": _cel}[form](data, names, path)


def _from(data: dict[str, Any], names: Names, path: Path) -> Shape:
    source = names.data(data["$from"], (*path, "$from"), "`$from`")
    chosen = [key for key in ("$without", "$only") if key in data]
    if len(chosen) != 1:
        message = "`$without` and `$only` exclude each other" if chosen else "`$from` needs `$without` or `$only`"
        hint = None if chosen else f"write `{data['$from']}` for all of it"
        names.check.problem(path, "bad_value", message, hint)
        return _CONSTANT
    at = (*path, chosen[0])
    written = data[chosen[0]]
    members = [written] if isinstance(written, str) else written
    if not isinstance(members, list) or not members or not all(isinstance(member, str) for member in members):
        names.check.problem(at, "wrong_type", f"expected a list of names, got {quote(written)}")
        return _CONSTANT
    for member in members:
        if "" in member.split("."):
            names.check.problem(at, "bad_value", f"{quote(member)} names no member")
    planned = [str(member).split(".") for member in members]
    return _CONSTANT if source is None else {chosen[0][1:]: {"from": source, "members": planned}}


def _first(data: dict[str, Any], names: Names, path: Path) -> Shape:
    options = data["$first"]
    at = (*path, "$first")
    if not isinstance(options, list) or not options:
        names.check.problem(at, "wrong_type", f"expected a list, got {quote(options)}")
        return _CONSTANT
    return {"first": [plan_shape(option, names, (*at, index)) for index, option in enumerate(options)]}


def _for_each(data: dict[str, Any], names: Names, path: Path) -> Shape:
    at = (*path, "$for_each")
    lists = data["$for_each"]
    if isinstance(lists, str):
        items, over = ["item"], [names.data(lists, at, "`$for_each`")]
    elif isinstance(lists, dict) and lists:
        items = [str(name) for name in lists]
        over = [names.data(written, (*at, name), "`$for_each`") for name, written in lists.items()]
        for name in items:
            check_name(name, names, (*at, name), "an item")
    else:
        names.check.problem(at, "wrong_type", f"expected a reference or a mapping of names to them, got {quote(lists)}")
        items, over = ["item"], [None]
    if "$value" not in data:
        hint = 'write `$value: {sku: "{item.sku}"}`'
        names.check.problem(path, "bad_value", "`$value` is missing; it goes with `$for_each`", hint)
        return _CONSTANT
    value = plan_shape(data["$value"], names.with_items(items), (*path, "$value"))
    return _CONSTANT if None in over else {"for_each": {"over": over, "value": value}}


def check_name(name: str, names: Names, path: Path, what: str) -> None:
    """Notes a problem unless references can name something by this name."""
    if not NAME.fullmatch(name):
        message = f"{quote(name)} is no name for {what}: small letters, digits, `_` and `-`"
        low = re.sub(r"[^a-z0-9_-]", "_", name.lower())
        names.check.problem(path, "bad_name", message, f"write `{low}`" if NAME.fullmatch(low) else None)
    elif name in SOURCES and name != "item":
        names.check.problem(path, "bad_name", f"{quote(name)} is taken: it names a part of the request")
    elif what == "an item" and name in names.calls:
        names.check.problem(path, "bad_name", f"there is a call {quote(name)} already")


def _cel(data: dict[str, Any], names: Names, path: Path) -> Shape:
    at = (*path, "$cel")
    expression = data["$cel"]
    if not isinstance(expression, str) or not expression.strip():
        names.check.problem(at, "wrong_type", f"expected a CEL expression, got {quote(expression)}")
        return _CONSTANT
    return {"cel": plan_cel(expression, names, at)}
