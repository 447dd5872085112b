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
    Forwarded,
    Gateway,
    Http2Limits,
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
    Target,
    TraceContext,
    Upstream,
    load,
)
from tidegate.errors import ConfigError, PlanError, TidegateError, UsageError

__all__ = [
    "Admin",
    "CertifiedKey",
    "ConfigError",
    "Forwarded",
    "Gateway",
    "Http2Limits",
    "Limits",
    "Listener",
    "ListenerTls",
    "Loaded",
    "PlanError",
    "Policies",
    "Pool",
    "Problem",
    "Redirect",
    "RequestHeaders",
    "RequestId",
    "Respond",
    "ResponseHeaders",
    "Route",
    "Service",
    "ServiceTls",
    "Target",
    "TidegateError",
    "TraceContext",
    "Upstream",
    "UsageError",
    "load",
]
