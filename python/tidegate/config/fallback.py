"""What is answered in the place of a service that cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from tidegate.actions.handler import plan_handler
from tidegate.actions.respond import WITHOUT_BODY, body_data
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.failures import Failures, parted
from tidegate.config.problem import Path
from tidegate.config.service_reference import ServiceReference
from tidegate.config.values import Integer, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    Function: TypeAlias = str | Callable[..., Any]
else:
    from tidegate.config.callbacks import Callback as Function

CONDITIONS = ("open", "failed", "timeout", "full")
"""Why a service is not asked, or has not answered."""


class Fallback(Model):
    """What is answered instead: a fixed answer, what another service answers, or what a function does."""

    on: Failures = Field(
        default_factory=lambda: ["open", "failed", "timeout"],
        description="When: `open` (the circuit breaker), `failed` (no answer that can be used), `timeout` (no answer "
        "in time), `full` (the bulkhead); and statuses of the service's, such as `503`, whose answer is then let go.",
    )
    status: Integer = Field(503, ge=200, le=599, description="Status of a fixed answer.")
    headers: dict[str, Text] = Field(default_factory=dict, description="Headers of a fixed answer.")
    body: Annotated[Any, BeforeValidator(body_data)] = Field(
        None,
        description="Body of a fixed answer: text (`text/plain`), or a mapping or list, sent as `application/json`.",
    )
    service: ServiceReference | None = Field(
        None, description="Instead of a fixed answer: the name of the service that is asked, with its own settings."
    )
    handler: Function | None = Field(
        None,
        description="Instead of a fixed answer: a Python function, `module:function`, as the action `handler` takes.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The fallback as the engine takes it."""
        words, statuses = parted(self.on, CONDITIONS, check, (*path, "on"))
        if not self.on:
            check.problem((*path, "on"), "bad_value", "must not be empty", "leave `fallback` out for none")
        return {
            "on": {**{word: word in words for word in CONDITIONS}, "statuses": statuses},
            "answer": self._answer(check, path),
        }

    def _answer(self, check: Check, path: Path) -> dict[str, Any]:
        fixed = [name for name in ("status", "headers", "body") if name in self.model_fields_set]
        chosen = [name for name in ("service", "handler") if getattr(self, name) is not None]
        for other in [*chosen[1:], *(fixed if chosen else [])]:
            check.problem((*path, other), "bad_value", f"`{other}` and `{chosen[0]}` exclude each other")
        if self.service is not None:
            return {"service": self.service}
        if self.handler is not None:
            return plan_handler(self.handler, check, (*path, "handler"), frozenset())
        return {"fixed": self._fixed(check, path)}

    def _fixed(self, check: Check, path: Path) -> dict[str, Any]:
        headers = []
        for name, value in self.headers.items():
            place = (*path, "headers", name)
            headers.append([check.header(name, place), check.header_value(value, place)])
        if self.body is not None and self.status in WITHOUT_BODY:
            check.problem((*path, "body"), "bad_value", f"an answer with status `{self.status}` has no body")
        body = self.body or ""
        if self.body is not None and not isinstance(self.body, str):
            body = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        if self.body is not None and not any(name == "content-type" for name, _ in headers):
            kind = "text/plain; charset=utf-8" if isinstance(self.body, str) else "application/json"
            headers.append(["content-type", kind])
        return {"status": self.status, "headers": headers, "body": body}
