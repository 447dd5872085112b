"""What every contestant is asked to do: one description, from which each peer writes its own configuration."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.guard import Guard

HOST = "127.0.0.1"
SHIPMENT_TIMEOUT_MS = 100
"""How long a shipment is waited for, where it does not come."""


class Protocol(StrEnum):
    """What is spoken on a connection."""

    HTTP1 = "http1"
    TLS_HTTP1 = "tls_http1"
    TLS_HTTP2 = "tls_h2"
    H2C = "h2c"

    @property
    def is_encrypted(self) -> bool:
        return self in (Protocol.TLS_HTTP1, Protocol.TLS_HTTP2)


class Composition(StrEnum):
    """How a gateway is told to compose."""

    DECLARED = "declared"
    HANDLER = "handler"


@dataclass(frozen=True)
class Workload:
    """The work of a gateway: routes to one service, and the headers that tell it who called.

    Each request gains `x-forwarded-for`, `-proto`, `-host` and `-port`, and an `x-request-id` that the gateway makes
    up. Metrics are on. Bodies stream: nothing is collected before it is passed on.
    """

    client: Protocol = Protocol.HTTP1
    upstream: Protocol = Protocol.HTTP1
    routes: int = 200
    workers: int = 1
    access_log: bool = False
    as_it_comes: bool = False
    """Tidegate with all that it does by default, which is more than is asked of the peers."""
    handler: str = ""
    """Python code, as `module:function`, that answers the first route instead of the service."""
    guard: Guard | None = None
    """Policies that decide who may pass; a contestant without any is asked in the same way."""
    composition: Composition | None = None
    """One route that asks for an order, then for its user, its products and its shipment at once, and merges them."""
    illness: bool = False
    """The shipping service never answers."""
    application: str = ""
    """An ASGI application, as `module:name`, that answers the first route instead of the service."""
    plugin: str = ""
    """A plugin, as `module:Class`, on the first route."""
    hedged: bool = True
    """Hedging is one of the shields."""
    shielded: bool | None = None
    """Tidegate with all that shields services and callers, or without even the part of it that is there by default."""
    bare: bool = False
    """Asked as the guarded ones are, but without the policies: what the wire alone costs."""

    @property
    def policies(self) -> Guard | None:
        """What the contestant has to enforce."""
        return None if self.bare else self.guard

    def prefix(self, route: int) -> str:
        """The path that a route owns, with all that is below it."""
        if self.upstream is Protocol.H2C:
            return f"/shop.v1.Resource{route:05}"
        return f"/api/v1/resource-{route:05}"

    def target(self, route: int) -> str:
        """What a client asks for on a route."""
        if self.composition:
            return "/api/v1/order-details/42"
        if self.application:
            return "/api/v1/hello"
        return f"{self.prefix(route)}/Get" if self.upstream is Protocol.H2C else f"{self.prefix(route)}/items/42"

    @property
    def targets(self) -> list[str]:
        """One request for each route, in an order that is not the document's: no route is nearer than another."""
        stride = 7919  # a prime: every route comes once
        return [self.target(index * stride % self.routes) for index in range(self.routes)]


@dataclass(frozen=True)
class Site:
    """Where one run of one contestant lives."""

    folder: Path
    port: int
    admin_port: int
    backend_port: int
    certificate: Path
    key: Path
    redis_port: int = 0
    """Where limits are shared, if they are."""
    sick_port: int = 0
    """A service that takes requests and never answers, where one is wanted."""

    @property
    def upstream(self) -> str:
        return f"{HOST}:{self.backend_port}"

    @property
    def sick(self) -> str:
        return f"{HOST}:{self.sick_port}"


@dataclass(frozen=True)
class Launch:
    """How a contestant's process is started."""

    arguments: list[str]
    environment: dict[str, str]
