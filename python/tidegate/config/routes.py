"""Routes: which requests are meant, and the one action that answers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from tidegate.actions.app import AppReference
from tidegate.actions.mirror import Mirror
from tidegate.actions.redirect import Redirect
from tidegate.actions.respond import Respond
from tidegate.actions.split import Split
from tidegate.config.base import Model
from tidegate.config.bulkhead import Bulkhead
from tidegate.config.calling import Hedging, PassedDeadline, RetriesOrNumber
from tidegate.config.canary import Canary
from tidegate.config.circuit_breaker import CircuitBreaker
from tidegate.config.compose.models import Compose
from tidegate.config.days import Day
from tidegate.config.fallback import Fallback
from tidegate.config.overload import Priority
from tidegate.config.service_reference import ServiceReference
from tidegate.config.values import Condition, Duration, Size, Text, Texts, Truth
from tidegate.policies import Policies
from tidegate.policies.policy import SWITCHED

if TYPE_CHECKING:
    HandlerReference: TypeAlias = str | Callable[..., Any]
else:
    from tidegate.config.callbacks import Callback as HandlerReference


class RouteMatch(Model):
    """The conditions of a route."""

    name: str = Field(min_length=1, description="Its name, unique in the document; logs, metrics and `explain` use it.")
    hosts: Texts = Field(
        default_factory=list,
        description="Host names, without a port: `example.com`, or `*.example.com` for every name below it. "
        "Without any, every host.",
    )
    paths: Texts = Field(
        default_factory=list,
        description="Path patterns, of which one must fit: a prefix by whole segments (`/orders`), exact "
        "(`=/orders`), with captures (`/orders/{id}`, "
        "`/files/{rest...}`), or a regular expression (`~/orders/\\d+$`). Without any, every path.",
    )
    methods: Texts = Field(
        default_factory=list, description="Methods, in any case. Without any, every method; GET takes HEAD along."
    )
    headers: dict[str, Condition] = Field(
        default_factory=dict,
        description="Conditions on request headers: a value, a list of values, `~` and a regular expression for "
        "the whole value, or `true` for presence.",
    )
    query: dict[str, Condition] = Field(
        default_factory=dict, description="Conditions on query parameters, written as for `headers`."
    )
    cookies: dict[str, Condition] = Field(
        default_factory=dict, description="Conditions on cookies, written as for `headers`."
    )


class Answering(Model):
    """What answers a request, and how."""

    service: ServiceReference | None = Field(None, description="Action: the name of the service the request goes to.")
    split: Split | None = Field(
        None, description="Action: several services, each of which gets a share of the requests."
    )
    mirror: Mirror | None = Field(
        None, description="With `service` or `split`: another service gets copies of the requests."
    )
    canary: Canary | None = Field(
        None,
        description="With `service`: a new version of it, which gets more of the requests step by step, and none when "
        "it does worse.",
    )
    compose: Compose | None = Field(
        None, description="Action: an answer that is put together from the answers of several services."
    )
    respond: Respond | None = Field(None, description="Action: a fixed answer.")
    redirect: Redirect | None = Field(None, description="Action: send the client elsewhere.")
    handler: HandlerReference | None = Field(
        None,
        description="Action: a Python function, `module:function`, sync or async. From Python, the function itself.",
    )
    app: AppReference | None = Field(
        None,
        description="Action: an ASGI application, `module:name`, or `module:factory()` for a function that makes one. "
        "From Python, the application itself.",
    )
    strip_path: Truth = Field(
        True,
        description="With `service` or `split`: take the matched prefix away, so that `/shop` in front of "
        "`http://shop/api` sends `/shop/cart` to `/api/cart`. With `app`: the matched prefix is its `root_path`. "
        "**On by default, as in Kong**: write `false` to send the path as it came.",
    )
    rewrite: Text | None = Field(
        None,
        description="With `service` or `split`: the path to send instead, and the query too when it has a `?`. May use "
        "references: `/v2/orders/{path.id}`.",
    )
    preserve_host: Truth = Field(
        False, description="With `service` or `split`: send the client's `Host` instead of the service's."
    )
    timeout: Duration | None = Field(
        None,
        description="Time for the whole exchange, retries included. Without one, the service's `timeout`; without "
        "that, only the other timeouts of the service hold.",
    )
    retries: RetriesOrNumber | None = Field(None, description="Instead of the service's `retries`.")
    hedging: Annotated[Hedging | None, *SWITCHED] = Field(None, description="Instead of the service's `hedging`.")
    circuit_breaker: Annotated[CircuitBreaker | None, *SWITCHED] = Field(
        None, description="Instead of the service's `circuit_breaker`: one that counts the calls of this route only."
    )
    bulkhead: Annotated[Bulkhead | None, *SWITCHED] = Field(
        None, description="Instead of the service's `bulkhead`: one that bounds the calls of this route only."
    )
    fallback: Annotated[Fallback | None, *SWITCHED] = Field(None, description="Instead of the service's `fallback`.")
    try_timeout: Duration | None = Field(None, description="Instead of the service's `try_timeout`.")
    first_byte_timeout: Duration | None = Field(None, description="Instead of the service's `first_byte_timeout`.")
    deadline: PassedDeadline | None = Field(None, description="Instead of the service's `deadline`.")
    max_body: Size = Field(
        10 << 20, description="Largest request body that is let through, counted as it streams (413)."
    )
    priority: Priority | None = Field(
        None,
        description="How much its requests matter while the gateway is overloaded: `low`, `normal`, `high` or "
        "`critical`, which is never refused. Without one, the caller's tier decides.",
    )
    policies: Policies = Field(
        default_factory=Policies,
        description="Policies of this route; they win over those of its service and of the gateway.",
    )


class MediaType(Model):
    """A version that is named by the media type which the client accepts."""

    media_type: Text = Field(
        description="The media type, with `{version}` in the place of the version's name: "
        "`application/vnd.shop.v{version}+json`."
    )


class Version(Answering):
    """One version of what a route answers: its own action and settings, or the route's."""

    name: str = Field(
        min_length=1, pattern=r"^[A-Za-z0-9._-]+$", description="What requests call it: `2`, `v2`, `2026-03-01`."
    )
    deprecated: Day | None = Field(
        None, description="Since when it is deprecated: a day, or a time (RFC 3339). Told in `Deprecation` (RFC 9745)."
    )
    sunset: Day | None = Field(
        None, description="When it ends: a day, or a time. Told in `Sunset` (RFC 8594), and 410 from then on."
    )
    after_sunset: Literal["gone", "serve"] = Field(
        "gone", description="`serve`: nothing ends, it is told all the same."
    )
    link: Text | None = Field(None, description="Where people read about it: told in `Link`.")
    enabled: Truth = Field(True, description="`false` leaves the version out.")


_Versions = Annotated[list[Version], Field(min_length=1)]


class Versions(Model):
    """Several versions of what a route answers, and what tells which one is asked for."""

    by: Text | MediaType = Field(
        description="What names the version: one reference, `{header.x-api-version}`, `{query.version}`, "
        "`{cookie.version}` or `{path.version}`, or `media_type`."
    )
    default: Text | None = Field(
        None, description="The version of requests that name none. Without, they are refused (400)."
    )
    list: _Versions = Field(description="The versions.")


class Route(Answering, RouteMatch):
    """A rule that picks requests, and the one action that answers them.

    Every condition must hold. Of the routes that fit, the most precise one wins: exact path, then longer literal
    prefix, then
    template, then regular expression; then one that names methods, more header conditions, more query conditions, and
    at
    last the order of the document.
    """

    versions: Versions | None = Field(
        None, description="Several versions of the answer, of which the request names one. They have the actions."
    )
    enabled: Truth = Field(True, description="`false` leaves the route out.")
    tags: list[str] = Field(
        default_factory=list, description="Labels for people and tools; the gateway does not use them."
    )
