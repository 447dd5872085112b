"""A route of whose requests copies go to another service."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import TOKEN, Check
from tidegate.config.percent import WHOLE, Percent
from tidegate.config.problem import Path, quote
from tidegate.config.service_reference import ServiceReference
from tidegate.config.values import Duration, Integer, Size, Text, Texts

IGNORED = ("date", "x-request-id", "traceparent", "tracestate", "set-cookie", "server", "via", "age")
"""Headers that differ from answer to answer."""


class MirrorDiff(Model):
    """Compares the answers of both services."""

    ignore_headers: Texts = Field(
        default_factory=lambda: list(IGNORED), description="Headers of answers that are not compared."
    )
    ignore_fields: Texts = Field(
        default_factory=list,
        description="Members of JSON bodies that are not compared: names with dots between them, `*` for any, such "
        "as `items.*.updatedAt`.",
    )
    max_body: Size = Field(64 << 10, description="Longest body that is compared; longer ones are skipped.")
    file: Text | None = Field(
        None, min_length=1, description="File that differences are written to, one JSON object a line."
    )
    share: Percent = Field(WHOLE, description="Share of the differences that is written.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        for index, text in enumerate(self.ignore_fields):
            if "" in text.split("."):
                check.problem((*path, "ignore_fields", index), "bad_value", f"{quote(text)} names no member")
        if self.file is None and "share" in self.model_fields_set:
            check.problem((*path, "share"), "bad_value", "there is no `file` to write to")
        return {
            "ignore_headers": [
                check.header(name, (*path, "ignore_headers", index), edit=False)
                for index, name in enumerate(self.ignore_headers)
            ],
            "ignore_members": [text.split(".") for text in self.ignore_fields],
            "body_bytes": self.max_body,
            "file": None if self.file is None else str(check.files.folder / self.file),
            "share": self.share,
        }


class Mirror(Model):
    """Sends copies of a route's requests to another service, whose answers nobody gets."""

    service: ServiceReference = Field(description="Name of the service that gets the copies.")
    rate: Percent = Field(WHOLE, description="Share of the requests that are copied.")
    methods: Texts = Field(default_factory=list, description="Only requests with these methods; without, all.")
    body: Size = Field(64 << 10, description="Requests with a longer body are not copied.")
    timeout: Duration = Field(10_000, description="Time for a copy and its answer.")
    most: Integer = Field(
        100, ge=1, le=100_000, description="Copies under way at once; more requests are not copied, and counted."
    )
    header: Text = Field("x-mirrored", description="Header that marks copies; it holds the name of the route.")
    diff: MirrorDiff | None = Field(None, description="Compare the answers of both services.")

    def plan(self, action: dict[str, Any], check: Check) -> dict[str, Any]:
        """An action of a route with services, as the engine takes it, with copies."""
        path = ("mirror",)
        for index, method in enumerate(self.methods):
            if not TOKEN.fullmatch(method):
                check.problem((*path, "methods", index), "bad_value", f"{quote(method)} is not a method")
        original = action["proxy"] if "proxy" in action else action["split"]["sides"][0]["proxy"]
        copy = {**original, "service": str(self.service), "calling": None}
        return {
            "mirror": {
                "action": action,
                "copy": copy,
                "share": self.rate,
                "methods": [method.upper() for method in self.methods],
                "header": check.header(self.header, (*path, "header")),
                "body_bytes": self.body,
                "timeout_ms": self.timeout,
                "most": self.most,
                "compare": None if self.diff is None else self.diff.plan(check, (*path, "diff")),
            }
        }
