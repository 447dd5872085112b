"""Where a parameter of a handler comes from, where its name and type do not say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Place:
    name: str | None = None
    """The name there; without one, that of the parameter."""


class Path(_Place):
    """From the route's path: `Annotated[int, Path("order_id")]`."""


class Query(_Place):
    """From the query: `Annotated[int, Query("page")]`."""


class Header(_Place):
    """From a header: `Annotated[str, Header("x-user-id")]`; without a name, the parameter's with `-` for `_`."""


class Cookie(_Place):
    """From a cookie: `Annotated[str, Cookie("session")]`."""


class Body(_Place):
    """From the body: as JSON, or as it is for `bytes` and `str`: `Annotated[bytes, Body()]`."""
