"""A route with a fixed answer."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tidegate.config.base import Integer, Model, Text, problem
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote

_WITHOUT_BODY = (204, 205, 304)


def _body(value: object) -> object:
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
    body: Annotated[Any, BeforeValidator(_body)] = Field(
        None,
        description="Text (`text/plain`, may use references), or a mapping or list, sent as `application/json`. A `content-type` under `headers` wins.",
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
        if self.body is not None and self.status in _WITHOUT_BODY:
            check.problem((*path, "body"), "bad_value", f"an answer with status `{self.status}` has no body")
        if self.body is None:
            body: list[Any] = []
        elif isinstance(self.body, str):
            body = check.template(self.body, (*path, "body"))
            kind = "text/plain; charset=utf-8"
        else:
            plain = _without_references(self.body, check, (*path, "body"))
            body = [{"text": json.dumps(plain, ensure_ascii=False, separators=(",", ":"))}]
            kind = "application/json"
        if self.body is not None and not any(header["name"] == "content-type" for header in headers):
            headers.append({"name": "content-type", "value": [{"text": kind}]})
        return {"respond": {"status": self.status, "headers": headers, "body": body}}


def _without_references(data: Any, check: Check, path: Path) -> Any:
    """The data with escapes resolved; a reference could break out of its JSON string, so none is allowed yet."""
    if isinstance(data, str):
        parts = check.template(data, path)
        if any("reference" in part for part in parts):
            check.problem(
                path,
                "bad_reference",
                "references are not filled in inside a JSON body",
                "write the body as text, or `{{` for a brace",
            )
        return "".join(part.get("text", "") for part in parts)
    if isinstance(data, dict):
        return {key: _without_references(value, check, (*path, str(key))) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_references(value, check, (*path, index)) for index, value in enumerate(data)]
    return data
