"""The document people write: models, loading with line numbers, checking, and the way to the plan.

gateway, listeners, services, routes, redis, overload   the models, which are also the Python form
compose/   answers that are put together from those of services
load       files in, plan or problems out           resolve    all entries together
document   one file as sections and entries         chunks     a file as pieces that are known from the last load
entry      one listener, service or route           sources/   YAML, JSON, TOML
check, references, paths, addresses, files          the meaning of values
interpolate   ${env:NAME} and ${file:path}          redact     the document without its secrets
translate     pydantic's errors in our words        problem    place, problem, code, hint
"""

from tidegate.actions.mirror import Mirror, MirrorDiff
from tidegate.actions.redirect import Redirect
from tidegate.actions.respond import Respond
from tidegate.actions.split import Split, SplitService
from tidegate.config.bulkhead import Adaptive, Bulkhead
from tidegate.config.calling import Backoff, Hedging, PassedDeadline, Retries, RetryBudget
from tidegate.config.canary import Canary
from tidegate.config.circuit_breaker import CircuitBreaker
from tidegate.config.compose.models import Call, Compose, View
from tidegate.config.consumers import Consumer
from tidegate.config.credentials import BasicUser, ClientCertificate
from tidegate.config.fallback import Fallback
from tidegate.config.gateway import Admin, Gateway
from tidegate.config.health import ActiveHealthCheck, HealthCheck, PassiveHealthCheck
from tidegate.config.listeners import CertifiedKey, Http2Limits, Limits, Listener, ListenerTls
from tidegate.config.load import Loader, load
from tidegate.config.loaded import HandlerReference, Loaded
from tidegate.config.overload import Overload, OverloadMemory, PriorityRule, QueueDelay
from tidegate.config.problem import Problem
from tidegate.config.redact import redacted
from tidegate.config.redis import Redis
from tidegate.config.resolver import Resolver
from tidegate.config.routes import MediaType, Route, Version, Versions
from tidegate.config.services import Pool, Service, ServiceTls
from tidegate.config.store import Store
from tidegate.config.upstream import Balance, StickyCookie, Target, Upstream
from tidegate.policies import Policies
from tidegate.policies.api_key import ApiKey
from tidegate.policies.api_version import ApiVersion
from tidegate.policies.authorize import Authorize, Rule
from tidegate.policies.basic import Basic
from tidegate.policies.cors import Cors
from tidegate.policies.csrf import Csrf, CsrfToken
from tidegate.policies.fault import Fault, FaultAbort, FaultDelay
from tidegate.policies.forward_auth import DecisionCache, ForwardAuth
from tidegate.policies.forwarded import Forwarded
from tidegate.policies.idempotency import Idempotency
from tidegate.policies.introspection import Introspection, TokenCache
from tidegate.policies.ip import Ip
from tidegate.policies.jwt import Jwt, TokenIssuer
from tidegate.policies.mtls import Mtls
from tidegate.policies.oidc import Oidc
from tidegate.policies.plugins import Plugins, PluginUse
from tidegate.policies.request_headers import RequestHeaders
from tidegate.policies.request_id import RequestId
from tidegate.policies.response_headers import ResponseHeaders
from tidegate.policies.security_headers import SecurityHeaders
from tidegate.policies.signed_identity import SignedIdentity
from tidegate.policies.trace_context import TraceContext

__all__ = [
    "ActiveHealthCheck",
    "Adaptive",
    "Admin",
    "ApiKey",
    "ApiVersion",
    "Authorize",
    "Backoff",
    "Balance",
    "Basic",
    "BasicUser",
    "Bulkhead",
    "Call",
    "Canary",
    "CertifiedKey",
    "CircuitBreaker",
    "ClientCertificate",
    "Compose",
    "Consumer",
    "Cors",
    "Csrf",
    "CsrfToken",
    "DecisionCache",
    "Fallback",
    "Fault",
    "FaultAbort",
    "FaultDelay",
    "ForwardAuth",
    "Forwarded",
    "Gateway",
    "HandlerReference",
    "HealthCheck",
    "Hedging",
    "Http2Limits",
    "Idempotency",
    "Introspection",
    "Ip",
    "Jwt",
    "Limits",
    "Listener",
    "ListenerTls",
    "Loaded",
    "Loader",
    "MediaType",
    "Mirror",
    "MirrorDiff",
    "Mtls",
    "Oidc",
    "Overload",
    "OverloadMemory",
    "PassedDeadline",
    "PassiveHealthCheck",
    "PluginUse",
    "Plugins",
    "Policies",
    "Pool",
    "PriorityRule",
    "Problem",
    "QueueDelay",
    "Redirect",
    "Redis",
    "RequestHeaders",
    "RequestId",
    "Resolver",
    "Respond",
    "ResponseHeaders",
    "Retries",
    "RetryBudget",
    "Route",
    "Rule",
    "SecurityHeaders",
    "Service",
    "ServiceTls",
    "SignedIdentity",
    "Split",
    "SplitService",
    "StickyCookie",
    "Store",
    "Target",
    "TokenCache",
    "TokenIssuer",
    "TraceContext",
    "Upstream",
    "Version",
    "Versions",
    "View",
    "load",
    "redacted",
]
