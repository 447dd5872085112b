"""A route answered by a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.config.calling import override
from tidegate.config.check import Check
from tidegate.config.problem import quote

if TYPE_CHECKING:
    from tidegate.config.routes import Route


def plan_proxy(route: Route, service: str, check: Check, calling: Mapping[str, Any]) -> dict[str, Any]:
    """The action as the engine takes it; that the service exists is checked with all the others.

    `calling`: how the service is called, where the route says nothing else.
    """
    rewrite = None
    if route.rewrite is not None:
        if not route.rewrite.startswith("/"):
            check.problem(
                ("rewrite",),
                "bad_path",
                f"expected a path that starts with `/`, got {quote(route.rewrite)}",
                f"write `/{route.rewrite}`",
            )
        if "#" in route.rewrite:
            check.problem(("rewrite",), "bad_path", "a path that is sent to a service has no `#`")
        rewrite = check.template(route.rewrite, ("rewrite",), target=True)
    return {
        "proxy": {
            "service": service,
            "strip_path": route.strip_path,
            "rewrite": rewrite,
            "preserve_host": route.preserve_host,
            "calling": override(calling, route, check),
        }
    }
