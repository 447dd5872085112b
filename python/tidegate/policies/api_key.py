"""Knows callers by a key in a header, the query or a cookie."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Text
from tidegate.policies.consumer_headers import ConsumerCredential, check_realm

DEFAULT_HEADER = "x-api-key"


class ApiKey(ConsumerCredential):
    """Knows callers by a key. The first place that has one counts; the service sees none of them."""

    header: Text | None = Field(
        None, description=f"Header with the key. `{DEFAULT_HEADER}` where neither `query` nor `cookie` is given."
    )
    scheme: Text | None = Field(
        None,
        description="What stands before the key in the header, such as `Bearer` in `Authorization: Bearer KEY`. "
        "A value with another scheme is none of ours.",
    )
    query: Text | None = Field(
        None,
        description="Query parameter with the key. Keys in URLs end up in the logs of proxies and browsers: only for "
        "clients that can do nothing else.",
    )
    cookie: Text | None = Field(None, description="Cookie with the key.")
    realm: Text = Field("tidegate", description="What `WWW-Authenticate` calls the place that asks.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        header = self.header
        if header is None and self.query is None and self.cookie is None:
            header = DEFAULT_HEADER
        if header is None and self.scheme is not None:
            check.problem((*path, "scheme"), "bad_value", "a scheme goes with a `header`")
        if header is not None and header.lower() == "cookie":
            check.problem(
                (*path, "header"), "bad_header", "`cookie` is not searched as a header", "write `cookie: name`"
            )
        if header is not None and header.lower() == "authorization" and self.scheme is None:
            hint = "write `scheme: Bearer`, or what your clients send before the key"
            check.problem((*path, "header"), "missing", "`authorization` has a scheme before its key", hint)
        for option, value in (("scheme", self.scheme), ("cookie", self.cookie)):
            if value is not None and not TOKEN.fullmatch(value):
                check.problem((*path, option), "bad_value", f"{quote(value)} cannot be the name of a {option}")
        if self.query == "":
            check.problem((*path, "query"), "bad_value", "a query parameter has a name")
        return {
            "header": None if header is None else check.header(header, (*path, "header")),
            "scheme": self.scheme,
            "query": self.query,
            "cookie": self.cookie,
            "realm": check_realm(self.realm, check, path),
            "consumer_to_headers": self.plan_headers(check, path),
            "optional": self.optional,
        }
