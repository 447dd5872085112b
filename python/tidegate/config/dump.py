"""Writes a gateway made in Python as a document."""

from __future__ import annotations

from typing import Any

import yaml

from tidegate.actions.app import app_name
from tidegate.actions.handler import handler_name
from tidegate.config.gateway import Gateway
from tidegate.config.sources.yaml_source import plain
from tidegate.errors import UsageError


def to_data(gateway: Gateway) -> dict[str, Any]:
    """The gateway as data, with only what was set."""
    data: dict[str, Any] = gateway.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return data


def to_yaml(gateway: Gateway) -> str:
    """The gateway as YAML that loads to the same plan.

    Raises `UsageError` where a handler is a function that no module can be asked for, such as a lambda.
    """
    routes = [*gateway.routes, *(route for service in gateway.services for route in service.routes)]
    for route in routes:
        name = handler_name(route.handler)
        if name is not None and ("<" in name or name.startswith("__main__:")):
            raise UsageError(f"route {route.name}: the handler `{name}` cannot be written down; put it into a module")
        name = None if route.app is None else app_name(route.app)
        if name is not None and ("<" in name or name.startswith("__main__:")):
            raise UsageError(f"route {route.name}: the app `{name}` cannot be written down; put it into a module")
    return yaml.dump(
        to_data(gateway), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader would take for something else than text, and only writes what it can read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Anchors would only be in the way of the reader."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
