"""A route with a fixed answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tidegate.config.base import Model, problem
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.references import Part
from tidegate.config.values import Integer, Text

WITHOUT_BODY = (204, 205, 304)
"""Statuses of answers that have no body."""


def body_data(value: object) -> object:
    """Text, or data that JSON can hold; YAML brings nothing else, Python might."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise problem("wrong_type", f"expected text or data that JSON can hold, got {quote(value)}") from None
    return value


class Respond(Model):
    """A fixed answer, made by the gateway itself."""

    status: Integer = Field(200, ge=200, le=599, description="Status code.")
    headers: dict[str, Text] = Field(
        default_factory=dict, description="Headers of the answer. Values may use references such as `{request.id}`."
    )
    body: Annotated[Any, BeforeValidator(body_data)] = Field(
        None,
        description="Text (`text/plain`), or a mapping or list, sent as `application/json`. Both may use references. "
        "A `content-type` under `headers` wins.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The action as the engine takes it."""
        headers = [
            {
                "name": check.header(name, (*path, "headers", name)),
                "value": check.template(value, (*path, "headers", name), header=True),
            }
            for name, value in self.headers.items()
        ]
        if self.body is not None and self.status in WITHOUT_BODY:
            check.problem((*path, "body"), "bad_value", f"an answer with status `{self.status}` has no body")
        if self.body is None:
            body: list[Any] = []
        elif isinstance(self.body, str):
            body = check.template(self.body, (*path, "body"))
            kind = "text/plain; charset=utf-8"
        else:
            body = _joined(_json(self.body, check, (*path, "body")))
            kind = "application/json"
        if self.body is not None and not any(header["name"] == "content-type" for header in headers):
            headers.append({"name": "content-type", "value": [{"text": kind}]})
        return {"respond": {"status": self.status, "headers": headers, "body": body}}


def _json(data: Any, check: Check, path: Path) -> Iterator[Part]:
    """The JSON text of some data; what a reference brings, the engine writes as the content of a JSON string."""
    if isinstance(data, str):
        yield {"text": '"'}
        for part in check.template(data, path):
            yield {"text": _dump(part["text"])[1:-1]} if "text" in part else part
        yield {"text": '"'}
    elif isinstance(data, dict):
        for index, (key, value) in enumerate(data.items()):
            yield {"text": f"{',' if index else '{'}{_dump(str(key))}:"}
            yield from _json(value, check, (*path, str(key)))
        yield {"text": "}" if data else "{}"}
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield {"text": "," if index else "["}
            yield from _json(value, check, (*path, index))
        yield {"text": "]" if data else "[]"}
    else:
        yield {"text": _dump(data)}


def _joined(parts: Iterator[Part]) -> list[Part]:
    """The same with texts that follow each other put together."""
    out: list[Part] = []
    for part in parts:
        if "text" in part and out and "text" in out[-1]:
            out[-1]["text"] += part["text"]
        else:
            out.append(dict(part))
    return out


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
