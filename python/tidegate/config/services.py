"""Services: the APIs behind the gateway, and how they are reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.bulkhead import Bulkhead
from tidegate.config.calling import Hedging, PassedDeadline, RetriesOrNumber
from tidegate.config.circuit_breaker import CircuitBreaker
from tidegate.config.fallback import Fallback
from tidegate.config.upstream import Upstream
from tidegate.config.values import Duration, Integer, Text, Truth
from tidegate.policies import Policies
from tidegate.policies.policy import SWITCHED


class ServiceTls(Model):
    """How the gateway speaks TLS to a service."""

    verify: Truth = Field(
        True, description="Check the certificate of the service. Turn it off only where the network itself is trusted."
    )
    ca: Text | None = Field(None, description="File with the authorities (PEM) to trust instead of the system's.")
    server_name: Text | None = Field(
        None,
        description="Host name to ask for (SNI) and to find in the certificate. Without one, the host of the `url`.",
    )
    client_certificate: Text | None = Field(None, description="File with the certificate (PEM) the gateway shows.")
    client_key: Text | None = Field(None, description="File with the private key of `client_certificate`.")


class Pool(Model):
    """The idle connections kept to a service, for each worker and target."""

    max_idle: Integer = Field(64, ge=0, le=100_000, description="Idle connections kept; 0 opens one for each request.")
    idle_timeout: Duration = Field(
        60_000, description="Time an idle connection is kept. Let it be shorter than the service's own keep-alive time."
    )


class Service(Model):
    """An API behind the gateway."""

    name: str = Field(min_length=1, description="Its name, unique in the document; routes and metrics use it.")
    url: Text | None = Field(
        None,
        description="`http://host:port/path`, `https://...`, or `unix:/path/to.sock`. The path goes before the "
        "path of every request.",
    )
    protocol: Literal["http1", "h2", "http", "https"] = Field(
        "http1",
        description="Protocol spoken to it: `http1`, or `h2` (HTTP/2, over TLS or with prior knowledge; gRPC "
        "needs it). `http` and `https` are Kong's, and go with `host`.",
    )
    host: Text | None = Field(
        None,
        description="`Host` sent with requests, instead of the one in `url`. Without a `url` (Kong's separate "
        "keys) also the host to connect to.",
    )
    port: Integer | None = Field(None, ge=1, le=65535, description="Port, where `host` is used instead of `url`.")
    path: Text | None = Field(
        None,
        description="Path put before the path of every request, where `host` or `upstream` is used instead of `url`.",
    )
    upstream: Upstream | None = Field(None, description="A pool of targets, instead of `url`.")
    tls: ServiceTls | None = Field(
        None,
        description="TLS to the service. An `https` url has it with defaults; with `upstream`, `tls: {}` turns it on.",
    )
    retries: RetriesOrNumber = Field(
        1,
        description="Attempts after the first, where a request can be sent again, and what else is to be said about "
        "them. Kong's default is 5, which multiplies load on a service that already struggles.",
    )
    hedging: Annotated[Hedging | None, *SWITCHED] = Field(
        None, description="A second call when the first is late, for requests that are safe to send twice."
    )
    circuit_breaker: Annotated[CircuitBreaker | None, *SWITCHED] = Field(
        None, description="Stop calling it while it fails. `{}` opens after five failures in a row."
    )
    bulkhead: Annotated[Bulkhead | None, *SWITCHED] = Field(None, description="How much of it may be in use at once.")
    fallback: Annotated[Fallback | None, *SWITCHED] = Field(
        None, description="What is answered in its place when it is not called, fails or takes too long."
    )
    timeout: Duration | None = Field(
        None, description="Time for the whole exchange, of routes that have no `timeout` of their own."
    )
    try_timeout: Duration | None = Field(
        None, description="Longest time from the beginning of one attempt to the head of its answer."
    )
    first_byte_timeout: Duration | None = Field(
        None, description="Longest time from the end of the request to the head of its answer."
    )
    deadline: PassedDeadline = Field(
        default_factory=PassedDeadline, description="How the service is told what time is left."
    )
    connect_timeout: Duration = Field(
        5000, description="Longest time to connect, TLS included. Kong's default of 60s outlasts most clients."
    )
    read_timeout: Duration = Field(60_000, description="Longest silence between two bytes of an answer.")
    write_timeout: Duration = Field(60_000, description="Longest time in which the service takes no byte of a request.")
    pool: Pool = Field(default_factory=Pool, description="Idle connections kept for reuse.")
    policies: Policies = Field(
        default_factory=Policies, description="Policies of every route to this service; they win over the gateway's."
    )
    routes: list[Route] = Field(
        default_factory=list, description="Routes to this service, written here instead of at the top, as in Kong."
    )
    enabled: Truth = Field(True, description="`false` leaves the service and its routes out.")
    tags: list[str] = Field(
        default_factory=list, description="Labels for people and tools; the gateway does not use them."
    )


from tidegate.config.routes import Route  # noqa: E402  (a service holds routes, and a route may name a Service)

Service.model_rebuild()
