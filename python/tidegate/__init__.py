"""Tidegate: an API gateway, described in YAML or typed Python, carried by a Rust engine.

```python
from tidegate import Gateway, Route, Service

orders = Service(name="orders", url="http://127.0.0.1:9001")
Gateway(services=[orders], routes=[Route(name="orders", paths=["/orders"], service=orders)]).run()
```
"""

from tidegate.config import (
    Admin,
    CertifiedKey,
    Consumer,
    DecisionCache,
    ForwardAuth,
    Forwarded,
    Gateway,
    Http2Limits,
    Introspection,
    Limits,
    Listener,
    ListenerTls,
    Loaded,
    Policies,
    Pool,
    Problem,
    Redirect,
    RequestHeaders,
    RequestId,
    Respond,
    ResponseHeaders,
    Route,
    Service,
    ServiceTls,
    SignedIdentity,
    Target,
    TokenCache,
    TraceContext,
    Upstream,
    load,
)
from tidegate.config.load import check
from tidegate.errors import BadContent, ClientGone, ConfigError, ListenError, PlanError, TidegateError, UsageError
from tidegate.extend import Request, Response

__all__ = [
    "Admin",
    "BadContent",
    "CertifiedKey",
    "ClientGone",
    "ConfigError",
    "Consumer",
    "DecisionCache",
    "ForwardAuth",
    "Forwarded",
    "Gateway",
    "Http2Limits",
    "Introspection",
    "Limits",
    "ListenError",
    "Listener",
    "ListenerTls",
    "Loaded",
    "PlanError",
    "Policies",
    "Pool",
    "Problem",
    "Redirect",
    "Request",
    "RequestHeaders",
    "RequestId",
    "Respond",
    "Response",
    "ResponseHeaders",
    "Route",
    "Service",
    "ServiceTls",
    "SignedIdentity",
    "Target",
    "TidegateError",
    "TokenCache",
    "TraceContext",
    "Upstream",
    "UsageError",
    "check",
    "load",
]
