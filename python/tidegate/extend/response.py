"""What a handler may return, and how it becomes an answer."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import to_json

Content: TypeAlias = str | bytes | dict[str, Any] | list[Any] | BaseModel | Any
"""A whole body: text, bytes, or data that becomes JSON (dicts, lists, models, dataclasses, structs of msgspec)."""

Pieces: TypeAlias = AsyncIterable[str | bytes] | Iterable[str | bytes]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"


class Response:
    """An answer with its status and headers.

    ```python
    return Response(201, {"id": 7}, {"location": "/orders/7"})
    ```

    `body` is text, bytes, data (a dict or a list, which becomes JSON), an iterator of pieces (a stream), or nothing. A
    `content-type` follows from it unless `headers` has one. `headers` is a mapping, or pairs where one comes more than
    once. Framing headers such as `content-length` are made by the gateway.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: Content | Pieces | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    def fields(self) -> list[tuple[str, str]] | None:
        """The headers as pairs."""
        if self.headers is None:
            return None
        return list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.body!r}, {self.headers!r})"


def encode(content: object) -> tuple[str | None, bytes] | None:
    """The content type and the bytes of a whole body; `None` when it is no such thing."""
    if isinstance(content, dict | list):
        return JSON, to_json(content, fallback=struct)
    if isinstance(content, str):
        return TEXT, content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return BYTES, bytes(content)
    if isinstance(content, BaseModel) or (is_dataclass(content) and not isinstance(content, type)):
        return JSON, to_json(content, fallback=struct)
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and isinstance(content, msgspec.Struct):
        return JSON, msgspec.json.encode(content)
    return None


def struct(value: object) -> object:
    """A struct of msgspec as data; for what pydantic does not know."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def piece(content: object) -> bytes:
    """A piece of a stream as bytes."""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise TypeError(f"a streamed answer is made of str or bytes, not {type(content).__name__}")


async def closable(pieces: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    """A generator over anything asynchronous, so that it can be closed; closes what it reads in turn."""
    close = getattr(pieces, "aclose", None)
    try:
        async for content in pieces:
            yield content
    finally:
        if close is not None:
            await close()


def not_an_answer(result: object) -> TypeError:
    """Says what a handler should have returned."""
    hint = "; for an answer without a body return `Response(204)`" if result is None else ""
    return TypeError(
        f"a handler returns str, bytes, dict, list, a model, Response or an async generator, "
        f"not {type(result).__name__}{hint}"
    )
