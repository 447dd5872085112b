"""Routes from decorators: what `@gateway.get(...)` and its like add to a gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tidegate.config.routes import Route

if TYPE_CHECKING:
    from tidegate.config.gateway import Gateway
    from tidegate.extend.compose import Composition

F = TypeVar("F", bound=Callable[..., Any])


def routed(
    gateway: Gateway, path: str | Sequence[str], methods: Sequence[str], name: str | None, options: dict[str, Any]
) -> Callable[[F], F]:
    """Adds a route for a function, and gives the function back."""

    def add(function: F) -> F:
        _add(gateway, function, path, methods, name, options)
        return function

    return add


def composed(
    gateway: Gateway,
    path: str | Sequence[str],
    methods: Sequence[str],
    name: str | None,
    timeout: int | str | None,
    errors: bool,
    options: dict[str, Any],
) -> Callable[[Callable[..., Any]], Composition]:
    """Adds a route for a function that returns a dict of awaitables; what stands in its place is the handler."""
    from tidegate.extend.compose import Composition

    # A route reads it, so that it is refused in the words of the document.
    read = Route(name="compose", timeout=timeout).timeout
    timeout_ms = None if read is None else int(read)

    def add(function: Callable[..., Any]) -> Composition:
        composition = Composition(function, timeout_ms, errors)
        _add(gateway, composition, path, methods, name, options)
        return composition

    return add


def _add(
    gateway: Gateway,
    function: Callable[..., Any],
    path: str | Sequence[str],
    methods: Sequence[str],
    name: str | None,
    options: dict[str, Any],
) -> None:
    paths = [path] if isinstance(path, str) else list(path)
    route = Route(
        name=name or _free_name(gateway, getattr(function, "__name__", type(function).__name__)),
        paths=[one if one[:1] in "=~" else f"={one}" for one in paths],
        methods=list(methods),
        handler=function,
        **options,
    )
    # Assigned, so that the gateway knows that it was set.
    gateway.routes = [*gateway.routes, route]


def _free_name(gateway: Gateway, wanted: str) -> str:
    """The name of the function; with a number where another route has it, as that of a function with two decorators."""
    taken = {route.name for route in gateway.routes}
    number, name = 2, wanted
    while name in taken:
        name = f"{wanted}-{number}"
        number += 1
    return name
