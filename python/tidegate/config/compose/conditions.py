"""Conditions on the request and on earlier answers, and CEL expressions over them."""

from __future__ import annotations

import re
from typing import Any

from tidegate.config.compose.names import Names
from tidegate.config.fields import plan_value
from tidegate.config.problem import Path, quote

_STRING = re.compile(
    r"""[rb]{0,2}("{3}.*?"{3}|'{3}.*?'{3}|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.IGNORECASE | re.DOTALL
)
_IDENTIFIER = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_MEMBER = re.compile(r"\s*\.\s*")


def plan_when(when: Any, names: Names, path: Path) -> dict[str, Any]:
    """A condition as the engine takes it."""
    if isinstance(when, str):
        return {"cel": plan_cel(when, names, path)}
    fields = []
    for written, wanted in when.items():
        source = names.only(written, (*path, written))
        if source is not None:
            values = [] if isinstance(wanted, bool) else wanted if isinstance(wanted, list) else [wanted]
            fields.append([source, [plan_value(value) for value in values], wanted is not False])
    return {"fields": fields}


def plan_cel(expression: str, names: Names, path: Path) -> dict[str, Any]:
    """An expression, with the calls that it names. What else it names, the engine looks into."""
    bare = _MEMBER.sub(".", _STRING.sub("''", expression))
    calls = []
    for name in dict.fromkeys(_IDENTIFIER.findall(bare)):
        if name in names.items:
            message = f"{quote(name)} is an item of a `for_each`, and expressions see whole calls only"
            names.check.problem(path, "bad_reference", message)
        if name not in names.calls:
            continue
        if not names.has_calls:
            names.check.problem(path, "bad_reference", f"{quote(name)} is a call, {names.why_not}")
            continue
        names.needs.setdefault(names.calls[name], path)
        calls.append([name, names.calls[name]])
    return {"expression": str(expression), "calls": calls}
