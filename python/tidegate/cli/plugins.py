"""Lists plugins, their hooks and options, and the routes that pay for them.

Without a file, those that installed packages bring.
"""

from __future__ import annotations

import argparse
import inspect
import json
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from tidegate.cli import report
from tidegate.config.load import check
from tidegate.extend.plugins import GROUP, HOOKS, PluginError, find, options_of


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="a YAML, JSON or TOML file, or a folder of them")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    file: str | None = arguments.file
    used = {point.name: list[str]() for point in entry_points(group=GROUP)} if file is None else _used(file)
    if not used:
        report.note("no package brings a plugin" if file is None else "the document has no plugins")
    for use, routes in used.items():
        try:
            report.data(_described(use, find(use)))
        except PluginError as error:
            report.data(f"{use}\n  cannot be used: {error.message}")
        if file is not None:
            report.data(f"  routes: {', '.join(routes)}")
    return 0


def _used(file: str) -> dict[str, list[str]]:
    """The routes that have each plugin."""
    used: dict[str, list[str]] = {}
    for route in json.loads(check(file).plan)["routes"]:
        for policy in route["policies"]:
            for plugin in policy.get("plugins", ()):
                routes = used.setdefault(plugin["name"], [])
                if route["name"] not in routes:
                    routes.append(route["name"])
    return used


def _described(use: str, cls: type[Any]) -> str:
    hooks = [name for name in HOOKS if callable(getattr(cls, name, None))]
    lines = [use, *(f"  {line}" for line in (inspect.getdoc(cls) or "").splitlines()[:1])]
    lines.append(f"  hooks: {', '.join(hooks) or 'none'}")
    model = options_of(cls)
    return "\n".join(lines + ([] if model is None else _lines(model)))


def _lines(model: type[BaseModel]) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        kind = getattr(field.annotation, "__name__", str(field.annotation))
        default = "required" if field.is_required() else f"{field.get_default(call_default_factory=True)!r}"
        lines.append(f"  config.{name}: {kind}, {default}" + (f"  {field.description}" if field.description else ""))
    return lines
