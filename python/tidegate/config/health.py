"""How it is found out which targets of a service are well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Integer, Share, Text

_RANGE = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")
_TARGET = re.compile(r"/[!-\"$-~]*")
"""Path and query, without spaces and `#`."""


def _statuses(value: object) -> object:
    """`200`, `200-299`, or a list of both, as pairs."""
    return [_range(entry) for entry in (value if isinstance(value, list) else [value])]


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return int(value[0]), int(value[1])
    match = _RANGE.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None:
        raise problem("bad_value", f"expected a status such as `200` or `200-299`, got {quote(value)}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise problem("bad_value", f"a range goes upwards, got {quote(value)}", f"write `{last}-{first}`")
    return first, last


def _show_statuses(pairs: list[tuple[int, int]]) -> list[str | int]:
    return [first if first == last else f"{first}-{last}" for first, last in pairs]


def _off(value: object) -> object:
    return None if value is False or value == "off" else value


def _switch(value: object) -> object:
    return None if value is False or value == "off" else {} if value is True or value == "on" else value


def _path_alone(value: object) -> object:
    """A path stands for the options with only that."""
    return {"path": value} if isinstance(value, str) and value.startswith("/") else _switch(value)


if TYPE_CHECKING:
    Statuses: TypeAlias = list[int | str] | int | str
else:
    _STATUS: dict[str, Any] = {
        "anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 599},
            {"type": "string", "pattern": f"^{_RANGE.pattern}$"},
        ]
    }
    Statuses = Annotated[
        list[Any],
        BeforeValidator(_statuses),
        PlainSerializer(_show_statuses, when_used="json"),
        WithJsonSchema(
            {
                "anyOf": [*_STATUS["anyOf"], {"type": "array", "items": _STATUS}],
                "title": "status, range or list of them",
            }
        ),
    ]


def _success() -> Any:
    return [(200, 299)]


def _broken() -> Any:
    return [(500, 500), (502, 504)]


def _planned(pairs: Any) -> list[list[int]]:
    return [[first, last] for first, last in pairs]


_HTTP_ONLY = ("path", "method", "status", "body")


class ActiveHealthCheck(Model):
    """Asks every target again and again, whether there is traffic or not."""

    type: Literal["http", "tcp", "grpc"] = Field(
        "http",
        description="`http` asks for `path`; `tcp` opens a connection, with TLS where the service has it; `grpc` asks "
        "`grpc.health.v1.Health` and needs `protocol: h2`.",
    )
    path: Text = Field(
        "/", description="For `http`: path and query to ask for; the service's own path is not put before it."
    )
    method: Text = Field("GET", description="For `http`: the method.")
    host: Text | None = Field(
        None, description="`Host` to ask with, instead of the one that the service's requests have."
    )
    headers: dict[str, Text] = Field(
        default_factory=dict, description="For `http` and `grpc`: header fields to ask with."
    )
    status: Statuses = Field(
        default_factory=_success,
        description="For `http`: the statuses that are well: `200`, `200-299` or a list.",
    )
    body: Text | None = Field(
        None,
        description="For `http`: what the body (its first 64 KiB) has in it as well; with `~` before it, a regular "
        "expression.",
    )
    service: Text = Field("", description="For `grpc`: the name to ask about; empty for the server as a whole.")
    port: Integer | None = Field(None, ge=1, le=65535, description="Port to ask on, instead of the target's own.")
    interval: Duration = Field(10_000, description="Time from one question to the next.")
    unhealthy_interval: Duration | None = Field(
        None, description="The same while the target is unhealthy. Without one, `interval`."
    )
    jitter: Share = Field(
        100_000,
        description="Up to this share of the interval is added by chance: several gateways do not ask in step.",
    )
    timeout: Duration = Field(
        2000,
        description="Longest time for connection and answer; without one, no more than `interval`.",
    )
    healthy: Integer = Field(
        2, ge=1, le=100, description="Good answers in a row after which an unhealthy target is used again."
    )
    unhealthy: Integer = Field(
        3, ge=1, le=100, description="Bad ones in a row after which a target is not used any more."
    )
    initial: Literal["healthy", "unhealthy"] = Field(
        "healthy",
        description="What a target counts as before its first answer. After `unhealthy`, a good one "
        "alone makes it healthy.",
    )

    def plan(self, host: str, protocol: str, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        for name in self.model_fields_set:
            of = "http" if name in _HTTP_ONLY else "grpc" if name == "service" else self.type
            if of != self.type or (name in ("headers", "host") and self.type == "tcp"):
                check.problem((*path, name), "bad_value", f"`{name}` does not go with `type: {self.type}`")
        if self.type == "grpc" and protocol != "h2":
            check.problem(
                (*path, "type"), "bad_value", "`grpc` goes over HTTP/2", "write `protocol: h2` at the service"
            )
        if "timeout" in self.model_fields_set and int(self.timeout) > int(self.interval):
            check.problem((*path, "timeout"), "bad_value", "must not be longer than `interval`")
        return {
            "probe": self._probe(self.host or host, check, path),
            "port": self.port,
            "interval_ms": self.interval,
            "unhealthy_interval_ms": self.unhealthy_interval or self.interval,
            "jitter_percent": int(self.jitter) // 10_000,
            "timeout_ms": min(int(self.timeout), int(self.interval)),
            "healthy": self.healthy,
            "unhealthy": self.unhealthy,
            "initially_healthy": self.initial == "healthy",
        }

    def _probe(self, host: str, check: Check, path: Path) -> str | dict[str, Any]:
        headers = [
            (check.header(name, (*path, "headers", name)), check.header_value(value, (*path, "headers", name)))
            for name, value in self.headers.items()
        ]
        if self.type == "tcp":
            return "tcp"
        if self.type == "grpc":
            return {"grpc": {"service": self.service, "host": host, "headers": headers}}
        if not _TARGET.fullmatch(self.path):
            message = f"expected a path such as `/health`, got {quote(self.path)}"
            check.problem((*path, "path"), "bad_path", message)
        if not TOKEN.fullmatch(self.method):
            check.problem((*path, "method"), "bad_value", f"{quote(self.method)} is not a method")
        body = None
        if self.body is not None:
            body = {"regex": self.body[1:]} if self.body.startswith("~") else {"contains": self.body}
        return {
            "http": {
                "method": self.method.upper(),
                "target": self.path,
                "host": host,
                "headers": headers,
                "statuses": _planned(self.status),
                "body": body,
            }
        }


class PassiveHealthCheck(Model):
    """Takes a target out for a while when its calls stand out: outlier detection."""

    consecutive_failures: Annotated[
        Annotated[Integer, Field(ge=1, le=1000)] | None,
        BeforeValidator(
            _off, json_schema_input_type=Annotated[int, Field(ge=1, le=1000)] | Literal[False, "off"] | None
        ),
    ] = Field(5, description="Failures in a row that eject a target; `off` for any number.")
    failure_rate: Share | None = Field(
        None, description="Share of failures among the calls of an `interval` that ejects a target, such as `50%`."
    )
    slow_rate: Share | None = Field(None, description="Share of calls slower than `slow_call` that ejects a target.")
    slow_call: Duration = Field(1000, description="Time to the head of the answer from which on a call is slow.")
    interval: Duration = Field(10_000, description="The time that both rates are about.")
    minimum_calls: Integer = Field(20, ge=1, le=10_000, description="Calls in it below which the rates say nothing.")
    status: Statuses = Field(
        default_factory=_broken,
        description="Statuses that are failures, beside connections that fail, break or take too long.",
    )
    ejection_time: Duration = Field(
        30_000,
        description="How long a target is out: this times the number of its ejections; one less counts for every "
        "`interval` that it has been in.",
    )
    max_ejection_time: Duration = Field(300_000, description="The longest that this becomes.")
    max_ejected: Share = Field(
        500_000,
        description="No target is ejected while this share of the service's targets is out. It is asked before an "
        "ejection, so one may be out of any number.",
    )
    probation: Integer = Field(
        3,
        ge=0,
        le=1000,
        description="Calls that have to succeed after the return; until then one failure ejects it again.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if self.consecutive_failures is None and self.failure_rate is None and self.slow_rate is None:
            hint = "write `failure_rate: 50%`, or leave `passive` out"
            check.problem(path, "missing", "nothing ejects a target", hint)
        if int(self.max_ejection_time) < int(self.ejection_time):
            check.problem((*path, "max_ejection_time"), "bad_value", "must not be shorter than `ejection_time`")
        return {
            "consecutive_failures": self.consecutive_failures,
            "failure_rate": _permille(self.failure_rate),
            "slow_rate": _permille(self.slow_rate),
            "slow_ms": self.slow_call,
            "interval_ms": self.interval,
            "minimum_calls": self.minimum_calls,
            "statuses": _planned(self.status),
            "ejection_ms": self.ejection_time,
            "longest_ejection_ms": self.max_ejection_time,
            "most_ejected": _permille(self.max_ejected),
            "probation": self.probation,
        }


def _permille(share: Any) -> int | None:
    """Thousandths of a share; a little of one stays a little."""
    return None if share is None else -(-int(share) // 1000)


class HealthCheck(Model):
    """Which targets are well: by asking them, and by what becomes of requests."""

    active: Annotated[
        ActiveHealthCheck | None,
        BeforeValidator(_path_alone, json_schema_input_type=ActiveHealthCheck | str | bool | None),
    ] = Field(None, description="Asks every target again and again; a path alone will do, as in `active: /health`.")
    passive: Annotated[
        PassiveHealthCheck | None,
        BeforeValidator(_switch, json_schema_input_type=PassiveHealthCheck | bool | Literal["on", "off"] | None),
    ] = Field(None, description="Takes a target out when its calls fail or are slow; `on` for the defaults.")

    def plan(self, host: str, protocol: str, check: Check, path: Path) -> dict[str, Any] | None:
        """The options as the engine takes them."""
        if self.active is None and self.passive is None:
            return None
        active = None
        if self.active is not None:
            active = self.active.plan(host, protocol, check, (*path, "active"))
        passive = None if self.passive is None else self.passive.plan(check, (*path, "passive"))
        return {"active": active, "passive": passive}
