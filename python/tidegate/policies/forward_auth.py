"""Asks a service whether a request may pass, and who makes it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config import references
from tidegate.config.base import Model
from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, did_you_mean, quote
from tidegate.config.values import Duration, Integer, Size, Text, Texts
from tidegate.policies.asked import Asked

MOST_BODY = 1 << 20
TO_CLIENT = ["www-authenticate", "location", "set-cookie", "content-type", "cache-control", "retry-after"]


class DecisionCache(Model):
    """How decisions are kept."""

    key: Texts = Field(
        min_length=1,
        description="Requests that agree in all of these texts share a decision; texts with references, such as "
        "`{header.authorization}`. Name everything that the service decides by. Where all are empty, it is asked.",
    )
    ttl: Duration = Field(description="Time a decision is kept that lets requests pass.")
    negative_ttl: Duration | None = Field(
        None, description="Time a refusal is kept. Without one, refusals are not kept. Failures never are."
    )
    entries: Integer = Field(10_000, ge=1, le=10_000_000, description="Decisions kept at most.")


class ForwardAuth(Asked):
    """Asks a service whether a request may pass, and who makes it."""

    path: Text | None = Field(
        None, description="Path to ask for, behind that of the `url`; may use references. Without one, `/`."
    )
    method: Text | None = Field(None, description="Method to ask with. Unless set: `GET`, and `POST` with `body`.")
    body: Size | None = Field(
        None,
        description="Send the body of the request along, with its `Content-Type` and `Content-Encoding`: as long as "
        "this at most, and a longer one is refused with 413. Without it, no body is sent.",
    )
    headers: Texts = Field(
        default_factory=lambda: ["authorization", "cookie"],
        description="Headers of the request that the service sees, beside `X-Forwarded-Method`, `-Proto`, `-Host`, "
        "`-Uri` and `-For`, `X-Request-Id` and `traceparent`, which the gateway makes.",
    )
    headers_to_service: Texts = Field(
        default_factory=list,
        description="Headers of a 2xx answer that go on to the service behind. The gateway owns them: whatever "
        "clients send under these names is taken out, on every route.",
    )
    headers_to_client: Texts = Field(
        default_factory=lambda: list(TO_CLIENT),
        description="Headers of a refusal that go to the client, and its body.",
    )
    headers_on_success: Texts = Field(
        default_factory=list,
        description="Headers of a 2xx answer that are added to the answer of the service behind: `set-cookie`, where "
        "sessions are renewed.",
    )
    strip: Texts = Field(
        default_factory=lambda: ["authorization"],
        description="Headers of the request that go no further once it may pass.",
    )
    claims: dict[str, Text] = Field(
        default_factory=dict,
        description="Claims to make of headers of a 2xx answer, for `{claims.NAME}`, `authorize` and limits: "
        "`{sub: x-auth-user}`. `sub` is the subject.",
    )
    consumer_claim: Text | None = Field(
        None,
        description="The one of `claims` that names a consumer of the document. A name that is not there is no "
        "consumer; one that is switched off refuses the request.",
    )
    timeout: Duration = Field(1000, description="Longest time for an answer; then the request is refused with 503.")
    max_answer: Size = Field(
        64 << 10, description="Longest body of an answer; a longer one counts as a failure, and the request is refused."
    )
    cache: DecisionCache | None = Field(
        None, description="Keep decisions. Without it, the service is asked for every request."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        service, base = self.asked(check, path)
        method = self.method or ("GET" if self.body is None else "POST")
        if not TOKEN.fullmatch(method):
            check.problem((*path, "method"), "bad_value", f"{quote(method)} is not a method")
        if self.body is not None:
            self._check_body(method, check, path)
        target = self.path if self.path is not None else "" if base else "/"
        if target and not target.startswith("/"):
            check.problem((*path, "path"), "bad_path", "a path begins with `/`", f"write `/{target}`")
        parts = check.template(target, (*path, "path"), target=True)
        if self.consumer_claim is not None and self.consumer_claim not in self.claims:
            message = f"{quote(self.consumer_claim)} is none of the `claims`"
            hint = did_you_mean(self.consumer_claim, self.claims)
            check.problem((*path, "consumer_claim"), "unknown_name", message, hint)
        return {
            "service": service,
            "method": method.upper(),
            "path": [{"text": base}, *parts] if base else parts,
            **{
                name: [check.header(header, (*path, name, index)) for index, header in enumerate(getattr(self, name))]
                for name in ("headers", "headers_to_client", "headers_on_success", "strip")
            },
            "headers_to_service": [
                check.owned_header(header, (*path, "headers_to_service", index))
                for index, header in enumerate(self.headers_to_service)
            ],
            "claims": [(name, check.header(header, (*path, "claims", name))) for name, header in self.claims.items()],
            "consumer_claim": self.consumer_claim,
            "timeout_ms": self.timeout,
            "body_bytes": self.body,
            "max_answer": self.max_answer,
            "cache": self._cache(check, (*path, "cache")),
        }

    def _check_body(self, method: str, check: Check, path: Path) -> None:
        if method.upper() in ("GET", "HEAD", "TRACE"):
            check.problem((*path, "method"), "bad_value", f"a {method.upper()} has no body", "leave `method` out")
        if self.cache is not None:
            message = "`body` and `cache` exclude each other: a decision that is kept knows nothing of the body"
            check.problem((*path, "body"), "bad_value", message)
        if not 0 < int(self.body or 0) <= MOST_BODY:
            check.problem((*path, "body"), "bad_size", "expected a size of at most 1MiB, as it is held in memory")

    def _cache(self, check: Check, path: Path) -> dict[str, Any] | None:
        cache = self.cache
        if cache is None:
            return None
        bare = {index: text for index, text in enumerate(cache.key) if references.is_bare(text)}
        for index, text in bare.items():
            message = f"{quote(text)} is a text, the same for all requests, and not a reference"
            check.problem((*path, "key", index), "bad_reference", message, f'write `"{{{text}}}"`')
        if not bare and not any("{" in text for text in cache.key):
            message = "no part of the key differs between requests, so all would get the first one's decision"
            check.problem((*path, "key"), "bad_value", message, 'write `key: ["{header.authorization}"]`, for example')
        return {
            "key": [check.template(text, (*path, "key", index)) for index, text in enumerate(cache.key)],
            "ttl_ms": cache.ttl,
            "negative_ttl_ms": cache.negative_ttl or 0,
            "entries": cache.entries,
        }
