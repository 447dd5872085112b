"""The list of all policies."""

from __future__ import annotations

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
from tidegate.policies.mtls import Mtls
from tidegate.policies.oidc import Oidc
from tidegate.policies.plugins import Plugins
from tidegate.policies.policy import Policy
from tidegate.policies.quota import Quota
from tidegate.policies.rate_limit import RateLimit
from tidegate.policies.request_headers import RequestHeaders
from tidegate.policies.request_id import RequestId
from tidegate.policies.response_headers import ResponseHeaders
from tidegate.policies.security_headers import SecurityHeaders
from tidegate.policies.signed_identity import SignedIdentity
from tidegate.policies.trace_context import TraceContext

POLICIES: dict[str, type[Policy]] = {
    "request_id": RequestId,
    "trace_context": TraceContext,
    "cors": Cors,
    "ip": Ip,
    "api_version": ApiVersion,
    "csrf": Csrf,
    "mtls": Mtls,
    "api_key": ApiKey,
    "basic": Basic,
    "jwt": Jwt,
    "introspection": Introspection,
    "forward_auth": ForwardAuth,
    "oidc": Oidc,
    "any_of": AnyOf,
    "all_of": AllOf,
    "authorize": Authorize,
    "rate_limit": RateLimit,
    "quota": Quota,
    "concurrency": Concurrency,
    "idempotency": Idempotency,
    "forwarded": Forwarded,
    "signed_identity": SignedIdentity,
    "plugins": Plugins,
    "request_headers": RequestHeaders,
    "fault": Fault,
    "security_headers": SecurityHeaders,
    "response_headers": ResponseHeaders,
}
"""Every policy by the name it has in the document."""

PLANNED: tuple[str, ...] = tuple(part for name, policy in POLICIES.items() for part in policy.names(name))
"""The names that policies have in the plan."""
