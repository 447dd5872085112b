"""The `policies:` key of a level: the gateway, a service or a route."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.policies.all_of import AllOf
from tidegate.policies.any_of import AnyOf
from tidegate.policies.api_key import ApiKey
from tidegate.policies.api_version import ApiVersion
from tidegate.policies.authorize import Authorize
from tidegate.policies.basic import Basic
from tidegate.policies.concurrency import Concurrency
from tidegate.policies.cors import Cors
from tidegate.policies.csrf import Csrf
from tidegate.policies.fault import Fault
from tidegate.policies.forward_auth import ForwardAuth
from tidegate.policies.forwarded import Forwarded
from tidegate.policies.idempotency import Idempotency
from tidegate.policies.introspection import Introspection
from tidegate.policies.ip import Ip
from tidegate.policies.jwt import Jwt
from tidegate.policies.list import POLICIES
from tidegate.policies.mtls import Mtls
from tidegate.policies.oidc import Oidc
from tidegate.policies.plugins import Plugins
from tidegate.policies.policy import SWITCHED as _SWITCHED
from tidegate.policies.quota import Quota
from tidegate.policies.rate_limit import RateLimit
from tidegate.policies.request_headers import RequestHeaders
from tidegate.policies.request_id import RequestId
from tidegate.policies.response_headers import ResponseHeaders
from tidegate.policies.security_headers import SecurityHeaders
from tidegate.policies.signed_identity import SignedIdentity
from tidegate.policies.trace_context import TraceContext


class Policies(Model):
    """Policies by name. `{}` takes the defaults, `off` switches one off that a wider level has switched on."""

    request_id: Annotated[RequestId | None, *_SWITCHED] = Field(
        None, description="Gives every request an id. On by default, at every level, until it is `off`."
    )
    trace_context: Annotated[TraceContext | None, *_SWITCHED] = Field(
        None,
        description="Passes W3C `traceparent` on, or begins a trace. On by default, at every level, until it is `off`.",
    )
    cors: Annotated[Cors | None, *_SWITCHED] = Field(
        None, description="Lets scripts of other origins read the answers, and answers their preflights."
    )
    ip: Annotated[Ip | None, *_SWITCHED] = Field(None, description="Lets clients in by their address, or not.")
    api_version: Annotated[ApiVersion | None, *_SWITCHED] = Field(
        None, description="Counts who still uses a version of an API, tells that it ends, and ends it."
    )
    csrf: Annotated[Csrf | None, *_SWITCHED] = Field(
        None, description="Refuses requests that another site makes a browser send."
    )
    mtls: Annotated[Mtls | None, *_SWITCHED] = Field(None, description="Knows callers by their client certificate.")
    api_key: Annotated[ApiKey | None, *_SWITCHED] = Field(
        None, description="Knows callers by a key in a header, the query or a cookie."
    )
    basic: Annotated[Basic | None, *_SWITCHED] = Field(None, description="Knows callers by name and password.")
    jwt: Annotated[Jwt | None, *_SWITCHED] = Field(
        None, description="Takes requests with a signed token, and tells the service who calls."
    )
    introspection: Annotated[Introspection | None, *_SWITCHED] = Field(
        None, description="Asks the provider whether a token is good, and whose it is (RFC 7662)."
    )
    forward_auth: Annotated[ForwardAuth | None, *_SWITCHED] = Field(
        None, description="Asks a service whether a request may pass, and who makes it."
    )
    oidc: Annotated[Oidc | None, *_SWITCHED] = Field(
        None, description="Logs users in at an OpenID provider and keeps their sessions in cookies, for browsers."
    )
    any_of: Annotated[AnyOf | None, *_SWITCHED] = Field(None, description="Takes one of several kinds of credentials.")
    all_of: Annotated[AllOf | None, *_SWITCHED] = Field(None, description="Wants several kinds of credentials at once.")
    authorize: Annotated[Authorize | None, *_SWITCHED] = Field(
        None, description="Lets requests on when a rule allows them: scopes, roles, claims, consumers, an expression."
    )
    rate_limit: Annotated[RateLimit | None, *_SWITCHED] = Field(
        None, description="Limits how many requests share one budget in a time."
    )
    quota: Annotated[Quota | None, *_SWITCHED] = Field(
        None, description="Limits how much a caller uses in a calendar hour, day, week or month."
    )
    concurrency: Annotated[Concurrency | None, *_SWITCHED] = Field(
        None, description="Limits how many requests of a key are under way at once."
    )
    idempotency: Annotated[Idempotency | None, *_SWITCHED] = Field(
        None, description="Lets a request that is sent twice act once, by its `Idempotency-Key`."
    )
    forwarded: Annotated[Forwarded | None, *_SWITCHED] = Field(
        None, description="Tells the service who the client is. On by default, at every level, until it is `off`."
    )
    signed_identity: Annotated[SignedIdentity | None, *_SWITCHED] = Field(
        None, description="Gives services a short-lived token that says who calls, signed by the gateway."
    )
    plugins: Annotated[Plugins | None, *_SWITCHED] = Field(
        None, description="Plugins: classes of the user's whose hooks act around an answer."
    )
    request_headers: Annotated[RequestHeaders | None, *_SWITCHED] = Field(
        None, description="Edits the headers of requests."
    )
    fault: Annotated[Fault | None, *_SWITCHED] = Field(
        None, description="Delays requests or answers them with an error, on purpose, for a share of them."
    )
    security_headers: Annotated[SecurityHeaders | None, *_SWITCHED] = Field(
        None, description="Tells browsers what they may do with an answer."
    )
    response_headers: Annotated[ResponseHeaders | None, *_SWITCHED] = Field(
        None, description="Edits the headers of answers."
    )

    def plan(self, check: Check, path: Path) -> dict[str, dict[str, Any] | None]:
        """The policies this level speaks of, in the engine's form; `None` for those it switches off."""
        spoken = self.model_fields_set
        out: dict[str, dict[str, Any] | None] = {}
        for name in POLICIES:
            if name in spoken:
                options = getattr(self, name)
                out |= (
                    dict.fromkeys(POLICIES[name].names(name))
                    if options is None
                    else options.parts(name, check, (*path, name))
                )
        return out
