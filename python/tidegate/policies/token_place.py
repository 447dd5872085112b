"""Where a token may come in, as `jwt` and `introspection` have it."""

from __future__ import annotations

from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote


def token_place(text: str, check: Check, path: Path) -> str | dict[str, str]:
    """`authorization`, `header:NAME` or `cookie:NAME`, as the engine takes it."""
    kind, _, name = text.partition(":")
    if text == "authorization":
        return text
    if kind == "header" and name:
        return {"header": check.header(name, path)}
    if kind == "cookie" and TOKEN.fullmatch(name):
        return {"cookie": name}
    hint = "write `authorization`, `header:NAME` or `cookie:NAME`"
    check.problem(path, "bad_value", f"{quote(text)} is no place for a token", hint)
    return "authorization"
