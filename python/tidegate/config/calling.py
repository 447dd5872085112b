"""How a service is called: retries, hedging, the timeouts of an attempt, and how a deadline is passed on.

A service says it for all its routes; a route may say each of the keys of `OVERRIDES` anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, did_you_mean, quote
from tidegate.config.values import Duration, Integer, Share, Size, Text, Texts, duration, show_duration
from tidegate.policies.policy import SWITCHED

if TYPE_CHECKING:
    from tidegate.config.routes import Route
    from tidegate.config.services import Service

MOST_RETRIES = 32
MOST_KEPT = 16 << 20

_UNLESS_SET: tuple[RetryOn, ...] = ("connect_failure", "reset", "refused_stream", "try_timeout")
_WORDS = ("connect_failure", "reset", "refused_stream", "try_timeout", "timeout")
_GRPC = {
    "grpc_cancelled": 1,
    "grpc_unknown": 2,
    "grpc_deadline_exceeded": 4,
    "grpc_resource_exhausted": 8,
    "grpc_aborted": 10,
    "grpc_internal": 13,
    "grpc_unavailable": 14,
}


def _retry_on(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 400 <= value <= 599:
            raise problem("bad_value", f"expected a status from 400 to 599, got {quote(value)}")
        return value
    known = (*_WORDS, *_GRPC)
    if value in known:
        return value
    hint = did_you_mean(value, known) if isinstance(value, str) else None
    if isinstance(value, str) and value.lower() in ("4xx", "5xx"):
        hint = "write each status, such as `502`, `503` and `504`"
    hint = hint or "known: " + ", ".join(f"`{word}`" for word in known)
    raise problem("bad_value", f"expected a status or a word for what failed, got {quote(value)}", hint)


def _quantile_or_duration(value: object) -> object:
    if isinstance(value, str) and value.startswith("p"):
        digits, _, rest = value[1:].partition(".")
        if digits.isdecimal() and (not rest or rest.isdecimal()) and 0 < float(value[1:]) < 100 and len(rest) <= 1:
            return value
        raise problem("bad_value", f"expected a percentile such as `p95` or `p99.9`, got {quote(value)}")
    return duration(value)


if TYPE_CHECKING:
    RetryOn: TypeAlias = int | str
    HedgeAfter: TypeAlias = int | str
else:
    RetryOn = Annotated[
        int | str,
        BeforeValidator(_retry_on),
        WithJsonSchema(
            {
                "anyOf": [{"type": "integer", "minimum": 400, "maximum": 599}, {"enum": [*_WORDS, *_GRPC]}],
                "title": "word or status",
            }
        ),
    ]
    HedgeAfter = Annotated[
        int | str,
        BeforeValidator(_quantile_or_duration),
        PlainSerializer(lambda value: value if isinstance(value, str) else show_duration(value), when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "pattern": r"^(p[0-9]+(\.[0-9])?|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"},
                    {"type": "integer"},
                ],
                "title": "percentile or duration",
            }
        ),
    ]


class RetryBudget(Model):
    """How many retries there may be, of all calls to the service over the last 10 seconds, on all workers together."""

    ratio: Share = Field(200_000, description="Share of the calls: `0.2` or `20%`.")
    minimum: Integer = Field(
        3, ge=0, le=100_000, description="So many a second are allowed however few calls there are."
    )


class Backoff(Model):
    """The pause before a retry: drawn from all of a range that doubles each time (full jitter)."""

    base: Duration = Field(25, description="The range before the first retry.")
    max: Duration = Field(250, description="The longest the range becomes.")


class Retries(Model):
    """What is tried again when a call to a service fails."""

    attempts: Integer = Field(1, ge=0, le=MOST_RETRIES, description="Attempts after the first.")
    on: list[RetryOn] = Field(
        default_factory=lambda: list(_UNLESS_SET),
        description="What is tried again: `connect_failure`, `reset` (before the head of an answer), `refused_stream`, "
        "`try_timeout`, `timeout` (the other timeouts of the service), statuses from 400 to 599, and statuses of gRPC "
        "such as `grpc_unavailable`.",
    )
    methods: Texts | None = Field(
        None,
        description="Methods that may be sent again though the service may have seen the request. Without it those "
        "that are idempotent (RFC 9110): GET, HEAD, PUT, DELETE, OPTIONS, TRACE.",
    )
    backoff: Annotated[Backoff | None, *SWITCHED] = Field(
        default_factory=Backoff, description="The pause before each retry; `off` for none."
    )
    budget: Annotated[RetryBudget | None, *SWITCHED] = Field(
        default_factory=RetryBudget, description="Bound on the retries of all calls together; `off` for none."
    )
    body: Size = Field(
        64 << 10,
        le=MOST_KEPT,
        description="So much of a request body is kept, so that it can be sent again. A longer one is sent once.",
    )
    retry_after: Annotated[Duration | None, *SWITCHED] = Field(
        1000,
        description="The longest `Retry-After` of an answer that is waited for; an answer that asks for more is passed "
        "on. `off` does not look at it.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        base, most = (int(self.backoff.base), int(self.backoff.max)) if self.backoff else (0, 0)
        if base > most:
            check.problem((*path, "backoff", "max"), "bad_value", "`max` is less than `base`")
        budget = self.budget and {"ratio_ppm": self.budget.ratio, "minimum": self.budget.minimum}
        return {
            "attempts": self.attempts,
            "on": [_condition(on) for on in dict.fromkeys(self.on)],
            "methods": plan_methods(self.methods, check, (*path, "methods")),
            "backoff_base_ms": base,
            "backoff_max_ms": most,
            "budget": budget,
            "body_bytes": self.body,
            "retry_after_ms": self.retry_after or 0,
        }


class Hedging(Model):
    """A second call when the first is late; the quicker answer is taken, and the other call cancelled."""

    after: HedgeAfter = Field(
        "p95",
        description="When the second call begins: a duration, or a percentile of the time that answers took lately, "
        "such as `p95`.",
    )
    budget: Share = Field(50_000, description="Most second calls, as a share of the calls of the last 10 seconds.")
    methods: Texts | None = Field(
        None, description="Methods that are hedged. Without it those that are safe: GET, HEAD, OPTIONS, TRACE."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        after: dict[str, int]
        if isinstance(self.after, str):
            after = {"permille": round(float(self.after[1:]) * 10)}
        else:
            after = {"delay_ms": self.after}
        return {
            "after": after,
            "budget": {"ratio_ppm": self.budget, "minimum": 0},
            "methods": plan_methods(self.methods, check, (*path, "methods")),
        }


class PassedDeadline(Model):
    """How the time that is left for an answer is passed on to the service, and whose word for it is believed."""

    header: Text | None = Field(
        None, description="Header that tells the service the milliseconds that are left. Without it, none does."
    )
    trust: Literal["nobody", "trusted_proxies", "everybody"] = Field(
        "trusted_proxies",
        description="Whose `grpc-timeout`, or `header`, shortens the time of the exchange: that of callers in "
        "`trusted_proxies`, of everybody, or of nobody.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        header = None if self.header is None else check.header(self.header, (*path, "header"))
        return {"header": header, "trust": self.trust}


if TYPE_CHECKING:
    RetriesOrNumber: TypeAlias = int | Retries
else:
    RetriesOrNumber = Annotated[
        Annotated[Annotated[Integer, Field(ge=0, le=MOST_RETRIES)], Tag("[number]")]
        | Annotated[Retries, Tag("[retries]")],
        Discriminator(lambda value: "[retries]" if isinstance(value, dict | Retries) else "[number]"),
    ]


def plan_retries(value: Any, check: Check, path: Path) -> Any:
    """`retries`, a number or a mapping, as the engine takes it."""
    retries = value if isinstance(value, Retries) else Retries.model_construct(attempts=value)
    return retries.plan(check, path)


def _plan_model(value: Any, check: Check, path: Path) -> Any:
    return None if value is None else value.plan(check, path)


def _plan_named(value: Any, check: Check, path: Path) -> Any:
    """As `_plan_model`, of what has a name of its own in log and metrics: the service's, or `route/NAME`."""
    return None if value is None else value.plan(check.scope.removeprefix("service/"), check, path)


def _plan_value(value: Any, _check: Check, _path: Path) -> Any:
    return value


OVERRIDES: Mapping[str, tuple[str, Callable[[Any, Check, Path], Any]]] = {
    "first_byte_timeout": ("first_byte_timeout_ms", _plan_value),
    "try_timeout": ("try_timeout_ms", _plan_value),
    "retries": ("retry", plan_retries),
    "hedging": ("hedging", _plan_model),
    "deadline": ("deadline", _plan_model),
    "circuit_breaker": ("circuit_breaker", _plan_named),
    "bulkhead": ("bulkhead", _plan_named),
    "fallback": ("fallback", _plan_model),
}
"""What a service says and a route may say anew: the key in the document, the key in the plan, and how it is planned."""

SWITCHES = {
    "Service": ("hedging", "circuit_breaker", "bulkhead", "fallback"),
    "Route": ("hedging", "circuit_breaker", "bulkhead", "fallback"),
    "Retries": ("backoff", "budget", "retry_after"),
}
"""Keys that may be `off`, by their model; for the schema."""


def plan_calling(service: Service, check: Check) -> dict[str, Any]:
    """How a service is called, as the engine takes it."""
    planned = {name: plan(getattr(service, key), check, (key,)) for key, (name, plan) in OVERRIDES.items()}
    return {"timeout_ms": service.timeout, **planned, **_fallback_of_breaker(service, check)}


def override(of_service: Mapping[str, Any], route: Route, check: Check) -> dict[str, Any] | None:
    """The same with what a route says over it; `None` where it says nothing."""
    own = {}
    for key, (name, plan) in OVERRIDES.items():
        if key not in route.model_fields_set:
            continue
        value = getattr(route, key)
        if value is not None or key in SWITCHES["Route"]:
            own[name] = plan(value, check, (key,))
    own |= _fallback_of_breaker(route, check)
    return {**of_service, **own} if own else None


def _fallback_of_breaker(part: Service | Route, check: Check) -> dict[str, Any]:
    """The fallback where it is written within `circuit_breaker`."""
    breaker = part.circuit_breaker
    if breaker is None or breaker.fallback is None:
        return {}
    path = ("circuit_breaker", "fallback")
    if "fallback" in part.model_fields_set:
        check.problem(path, "bad_value", "there is a `fallback` beside `circuit_breaker` already")
    return {"fallback": breaker.fallback.plan(check, path)}


def plan_methods(methods: Any, check: Check, path: Path) -> list[str] | None:
    """Methods in upper case; `None` where none are named."""
    if methods is None:
        return None
    for index, method in enumerate(methods):
        if not TOKEN.fullmatch(method):
            check.problem((*path, index), "bad_value", f"{quote(method)} is not a method")
    return [method.upper() for method in methods]


def _condition(on: int | str) -> Any:
    if isinstance(on, int):
        return {"status": on}
    return {"grpc_status": _GRPC[on]} if on in _GRPC else on
