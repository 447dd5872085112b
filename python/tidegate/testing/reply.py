"""What a service that is not real says, or does not."""

from __future__ import annotations

import json as codec
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from tidegate.extend.response import Response, encode
from tidegate.testing.compare import MISSING
from tidegate.testing.message import Recorded

Fields = Mapping[str, str] | list[tuple[str, str]]
Function = Callable[[Recorded], Any]
"""Makes an answer of a request: a `tidegate.Response`, or what a handler may return whole: data, text, bytes."""

Ending = Literal["answer", "hang", "reset", "close"]


@dataclass
class Reply:
    """One answer, or none."""

    status: int = 200
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ending: Ending = "answer"
    after: float = 0.0
    """Seconds until it comes."""
    function: Function | None = None

    def to(self, request: Recorded) -> Reply:
        """The answer to a request: what the function makes of it, if there is one."""
        if self.function is None:
            return self
        made = self.function(request)
        if isinstance(made, Reply):
            return made
        response = made if isinstance(made, Response) else Response(200, made)
        whole = (None, b"") if response.body is None else encode(response.body)
        if whole is None:
            raise TypeError(f"a fake service answers with data, text or bytes, not {type(response.body).__name__}")
        fields = list(response.fields() or [])
        if whole[0] is not None and not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("content-type", whole[0]))
        return Reply(response.status, fields, whole[1])

    def encoded(self, method: str) -> bytes:
        """The bytes of the message."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = ""
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in self.fields)]
        names = {name.lower() for name, _ in self.fields}
        bodiless = self.status in (204, 304) or self.status < 200
        if not bodiless and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"content-length: {len(self.body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if bodiless or method == "HEAD" else head + self.body


def reply(
    status: int = 200,
    *,
    json: Any = MISSING,
    text: str | None = None,
    body: bytes | None = None,
    headers: Fields | None = None,
) -> Reply:
    """An answer with a body of one of three kinds, or with none."""
    given = [value for value in (None if json is MISSING else json, text, body) if value is not None]
    if len(given) > 1:
        raise TypeError("an answer takes one of `json`, `text` and `body`")
    fields = [(name, value) for name, value in (headers.items() if isinstance(headers, Mapping) else headers or [])]
    kind, content = None, body or b""
    if json is not MISSING:
        kind, content = "application/json", codec.dumps(json, ensure_ascii=False).encode()
    elif text is not None:
        kind, content = "text/plain; charset=utf-8", text.encode()
    if kind is not None and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("content-type", kind))
    return Reply(status, fields, content)
