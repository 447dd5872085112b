"""The document as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.consumers import Consumer
from tidegate.config.include import IncludeOption
from tidegate.config.listeners import Listener
from tidegate.config.overload import Overload
from tidegate.config.problem import quote
from tidegate.config.redis import RedisOption
from tidegate.config.resolver import Resolver
from tidegate.config.routes import Route
from tidegate.config.services import Service
from tidegate.config.store import Store
from tidegate.config.values import Duration, Integer, ListenerAddress, Texts
from tidegate.policies import Policies

if TYPE_CHECKING:
    from tidegate.config.loaded import Loaded
    from tidegate.extend.compose import Composition
    from tidegate.serve import Running

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_LISTENER = "127.0.0.1:8080"
DEFAULT_ADMIN = "127.0.0.1:9900"


def _off(value: object) -> object:
    return None if value is False or value == "off" else value


def _switch(value: object) -> object:
    return None if value is False or value == "off" else {} if value is True or value == "on" else value


def _access_log(value: object) -> object:
    if value is None or value is False:
        return "off"
    if value == "off" or value == "stdout":
        return value
    if isinstance(value, Mapping) and set(value) == {"file"} and isinstance(value["file"], str) and value["file"]:
        return value
    hint = (
        f"write `{{file: {quote(value).strip('`')}}}`" if isinstance(value, str) and re.search(r"[./]", value) else None
    )
    raise problem("bad_value", f"expected `off`, `stdout` or `{{file: path}}`, got {quote(value)}", hint)


def _workers(value: object) -> object:
    return None if value == "auto" else value


class Admin(Model):
    """The listener for operators: `/livez`, `/readyz`, `/metrics` and `/config`."""

    address: ListenerAddress = Field(
        DEFAULT_ADMIN,
        description="`IP:PORT` or `unix:/path`. It has no authentication: keep it on loopback, or on a network "
        "of operators only.",
    )


class Gateway(Model):
    """A whole gateway: the document, field for field.

    ```python
    Gateway(
        services=[Service(name="orders", url="http://127.0.0.1:9001")],
        routes=[Route(name="orders", paths=["/orders"], service="orders")],
    ).run()
    ```
    """

    listeners: list[Listener] = Field(
        default_factory=lambda: [Listener(address=DEFAULT_LISTENER)],
        min_length=1,
        description=f"The sockets to accept on. Without any, `{DEFAULT_LISTENER}`.",
    )
    services: list[Service] = Field(default_factory=list, description="The APIs behind the gateway.")
    routes: list[Route] = Field(
        default_factory=list, description="The rules that pick requests, and what answers them."
    )
    consumers: list[Consumer] = Field(default_factory=list, description="Who calls, by name.")
    policies: Policies = Field(
        default_factory=Policies,
        description="Policies of every route, and of answers that belong to none. A service's or a route's own "
        "win, by name.",
    )
    redis: RedisOption = Field(
        None,
        description="The Redis or Valkey where several gateways share what they count; a URL alone will do. "
        "Without it, each gateway counts for itself.",
    )
    overload: Annotated[
        Overload | None,
        BeforeValidator(_switch, json_schema_input_type=Overload | bool | Literal["on", "off"] | None),
    ] = Field(
        None,
        description="What is refused while the gateway itself has too much to do; `{}` for the defaults. Without it, "
        "nothing.",
    )
    resolver: Resolver = Field(default_factory=Resolver, description="How names of services are looked up.")
    trusted_proxies: Texts = Field(
        default_factory=list,
        description="Addresses and networks (`10.0.0.0/8`) in front of the gateway whose `X-Forwarded-*`, "
        "`Forwarded` and `X-Request-Id` are believed; `unix:` stands for those on UNIX sockets. "
        "Without any, nobody's.",
    )
    access_log: Annotated[
        Any,
        BeforeValidator(_access_log),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": ["off", "stdout"]},
                    {"type": "boolean", "const": False},
                    {
                        "type": "object",
                        "properties": {"file": {"type": "string"}},
                        "required": ["file"],
                        "additionalProperties": False,
                    },
                ],
                "title": "access log",
            }
        ),
    ] = Field("stdout", description="Where a JSON line for each exchange goes: `stdout`, `{file: path}` or `off`.")
    admin: Annotated[
        Admin | None,
        BeforeValidator(_off),
        PlainSerializer(lambda admin: "off" if admin is None else admin, when_used="json"),
    ] = Field(default_factory=Admin, description="The listener for operators, or `off`.")
    store: Annotated[
        Store | None,
        BeforeValidator(_switch),
    ] = Field(
        None,
        description="Where keys and consumers are kept that are not in the document, for `tidegate keys`. `{}` is a "
        "file beside the document.",
    )
    drain_timeout: Duration = Field(
        30_000,
        description="Time that open exchanges get to finish when the process stops, and old ones after a reload.",
    )
    workers: Annotated[
        Integer | None,
        BeforeValidator(_workers),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}], "title": "workers"}),
    ] = Field(
        None,
        ge=1,
        le=1024,
        description="Worker threads; `auto`, the default, is one for each processor the process may use.",
    )
    include: IncludeOption = Field(
        default_factory=list,
        description="Other documents by their names, `bffs/*.yaml`: each has its own routes, services, consumers and "
        "policies, and a broken one does not stop the others; see [include](#include).",
    )
    format_version: Literal["1.1", "2.1", "3.0"] | None = Field(
        None, alias="_format_version", description="Kong's mark of its document format; accepted, and without effect."
    )

    def route(
        self,
        path: str | Sequence[str],
        *,
        methods: Sequence[str] = (),
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route that is answered by the function below it: `@gateway.route("/orders/{order_id}")`.

        The path is exact, as in frameworks, unless it begins with `~` or ends with `{rest...}`. `name`: without one,
        the function's. `options`: whatever else a `Route` has.
        """
        from tidegate.config.decorators import routed

        given = {"timeout": timeout, "policies": policies}
        options |= {key: value for key, value in given.items() if value is not None}
        return routed(self, path, methods, name, options)

    def get(
        self,
        path: str | Sequence[str],
        *,
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route for GET of a path, answered by the function below it; see `route`."""
        return self.route(path, methods=["GET"], name=name, timeout=timeout, policies=policies, **options)

    def post(
        self,
        path: str | Sequence[str],
        *,
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route for POST of a path, answered by the function below it; see `route`."""
        return self.route(path, methods=["POST"], name=name, timeout=timeout, policies=policies, **options)

    def put(
        self,
        path: str | Sequence[str],
        *,
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route for PUT of a path, answered by the function below it; see `route`."""
        return self.route(path, methods=["PUT"], name=name, timeout=timeout, policies=policies, **options)

    def patch(
        self,
        path: str | Sequence[str],
        *,
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route for PATCH of a path, answered by the function below it; see `route`."""
        return self.route(path, methods=["PATCH"], name=name, timeout=timeout, policies=policies, **options)

    def delete(
        self,
        path: str | Sequence[str],
        *,
        name: str | None = None,
        timeout: int | str | None = None,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Adds a route for DELETE of a path, answered by the function below it; see `route`."""
        return self.route(path, methods=["DELETE"], name=name, timeout=timeout, policies=policies, **options)

    def compose(
        self,
        path: str | Sequence[str],
        *,
        methods: Sequence[str] = ("GET",),
        name: str | None = None,
        timeout: int | str | None = "10s",
        errors: bool = False,
        policies: Policies | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[Callable[..., Any]], Composition]:
        """Adds a route whose answer is put together from a dict of awaitables, which the function below it returns.

        All are run at once. One that fails ends the request with 502 `compose_failed` or 504 `compose_timeout`; one
        that is `optional(...)` leaves its default, and the answer says so in `Tidegate-Partial`, and in a member
        `errors` where that is wanted. `timeout`: for all of them together.
        """
        from tidegate.config.decorators import composed

        if policies is not None:
            options["policies"] = policies
        return composed(self, path, methods, name, timeout, errors, options)

    def to_yaml(self) -> str:
        """The gateway as a YAML document that loads to the same plan."""
        from tidegate.config.dump import to_yaml

        return to_yaml(self)

    def load(self, base: str | Path = ".") -> Loaded:
        """Resolves the gateway; raises `ConfigError` with every problem that can be seen without the engine.

        Relative file names (certificates) start at `base`.
        """
        from tidegate.config.load import load_gateway

        return load_gateway(self, Path(base))

    def check(self, base: str | Path = ".") -> Loaded:
        """Resolves the gateway, has the engine compile it, imports its handlers, and serves nothing.

        Raises `ConfigError` with all that is wrong.
        """
        from tidegate.config.verify import verified

        return verified(lambda: self.load(base))

    def run(self, *, workers: int | None = None) -> int:
        """Runs the gateway until it is told to stop; returns the exit code of the process. See `tidegate.serve.run`."""
        from tidegate import serve

        return serve.run(self, workers=workers)

    def serve(self, *, workers: int | None = None) -> AbstractAsyncContextManager[Running]:
        """Serves while an `async with` block runs; see `tidegate.serve.serve`.

        Without `listeners` the system chooses a port on loopback, as it does for port 0.
        """
        from tidegate import serve

        return serve.serve(self, workers=workers)
