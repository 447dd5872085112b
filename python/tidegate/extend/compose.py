"""Answers that are put together from several awaitables: all run at once, and those that are optional may fail.

The words of `Tidegate-Partial`, of `errors` and of the problem document are those of the declarative `compose`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from tidegate.errors import CallFailed, ComposeFailed
from tidegate.extend.calls import CallResponse
from tidegate.extend.response import JSON, Response, encode, struct

LOG = logging.getLogger("tidegate.handlers")

T = TypeVar("T")
D = TypeVar("D")

MOST_DEPTH = 64
"""Nesting of a service's answer."""


class Optional(Generic[T, D]):
    """Something to await that may come to nothing: see `optional`."""

    __slots__ = ("awaitable", "default", "timeout")

    def __init__(self, awaitable: Awaitable[T], default: D, timeout: float | None) -> None:
        self.awaitable = awaitable
        self.default = default
        self.timeout = timeout

    def __await__(self) -> Generator[Any, None, T | D]:
        return self._or_default().__await__()

    async def _or_default(self) -> T | D:
        try:
            async with asyncio.timeout(self.timeout):
                return await self.awaitable
        except (CallFailed, TimeoutError):
            return self.default


def optional(awaitable: Awaitable[T], default: D = None, *, timeout: float | None = None) -> Optional[T, D]:  # type: ignore[assignment]
    """Lets a part of an answer fail: `default` stands in its place, and the answer is partial.

    `timeout`: seconds that it gets. Awaited by itself, it gives `default` when a call fails or is too late.
    """
    return Optional(awaitable, default, timeout)


class Composition:
    """A function that returns a dict of awaitables, as a handler; made by `Gateway.compose`."""

    def __init__(self, function: Callable[..., Any], timeout_ms: int | None, errors: bool) -> None:
        self.function = function
        self.timeout_ms = timeout_ms
        self.errors = errors
        functools.update_wrapper(self, function)

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Runs the function, and then all that it returned at once."""
        due = None if self.timeout_ms is None else asyncio.get_running_loop().time() + self.timeout_ms / 1000
        parts = self.function(*arguments, **named)
        if isawaitable(parts):
            # What the function itself awaits has no name; the deadline holds for it all the same.
            try:
                async with asyncio.timeout_at(due):
                    parts = await parts
            except TimeoutError:
                if due is None or asyncio.get_running_loop().time() < due:
                    raise
                raise ComposeFailed("", "timeout") from None
        if not isinstance(parts, Mapping):
            return parts
        return await _Gathering(parts, due, self.errors).answer()

    def __repr__(self) -> str:
        return f"<Composition {self.function.__qualname__}>"


class _Part:
    """One value of the answer, or one item of one."""

    __slots__ = ("default", "future", "json", "key", "optional", "reason", "status", "timer")

    def __init__(self, key: str, value: Any) -> None:
        self.key = key
        self.optional = isinstance(value, Optional)
        self.default = value.default if isinstance(value, Optional) else None
        self.future: Any = None
        self.timer: asyncio.TimerHandle | None = None
        self.json: bytes | None = None
        self.reason: str | None = None
        self.status: int | None = None

    def take(self, result: object) -> None:
        """Turns what came into JSON; an answer of a service goes in as it is, digit for digit."""
        if isinstance(result, Response):
            result = result.body
        if not isinstance(result, CallResponse):
            encoded = None if isinstance(result, str | bytes) else encode(result)
            self.json = to_json(result, fallback=struct) if encoded is None else encoded[1]
        elif not result.ok:
            self.fail("redirect" if 300 <= result.status <= 399 else "status", result.status)
        elif not result.body:
            self.json = b"null"
        elif (fault := result._answer.json_fault(MOST_DEPTH)) is not None:
            self.fail(fault)
        else:
            self.json = result.body

    def fail(self, reason: str, status: int | None = None) -> None:
        """It came to nothing."""
        self.reason = reason
        self.status = status
        self.json = to_json(self.default, fallback=struct)


class _Gathering:
    """Several parts on their way; ends with the last of them, or with the first that is needed and fails."""

    def __init__(self, parts: Mapping[str, Any], due: float | None, errors: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._due = due
        self._errors = errors
        self._parts: dict[str, _Part | list[_Part]] = {}
        self._open = 0
        self._began: list[_Part] = []
        for key, value in parts.items():
            if isinstance(value, list | tuple) and any(_awaits(item) for item in value):
                self._parts[key] = [self._begin(key, item) for item in value]
            else:
                self._parts[key] = self._begin(key, value)

    def _begin(self, key: str, value: Any) -> _Part:
        part = _Part(key, value)
        timeout = value.timeout if isinstance(value, Optional) else None
        if isinstance(value, Optional):
            value = value.awaitable
        if not isawaitable(value):
            part.take(value)
            return part
        part.future = asyncio.ensure_future(value)
        self._open += 1
        self._began.append(part)
        if timeout is not None:
            part.timer = self._loop.call_later(timeout, self._late, part)
        part.future.add_done_callback(functools.partial(self._done, part))
        return part

    async def answer(self) -> Response:
        """The answer, whole or partial; `ComposeFailed` when a part is missing that must not be."""
        timer = None if self._due is None else self._loop.call_at(self._due, self._all_late)
        try:
            if self._open:
                await self._over
        finally:
            if timer is not None:
                timer.cancel()
            for part in self._began:
                if part.timer is not None:
                    part.timer.cancel()
                if not part.future.done():
                    part.future.cancel()
        return self._response()

    def _late(self, part: _Part) -> None:
        if not part.future.done():
            part.fail("timeout")
            part.future.cancel()
            self._closed(part)

    def _all_late(self) -> None:
        for part in self._began:
            if part.json is None:
                self._late(part)

    def _done(self, part: _Part, future: Any) -> None:
        if part.json is not None:  # it was given up before
            if not future.cancelled():
                future.exception()
            return
        if future.cancelled():
            part.fail("failed")
        else:
            try:
                part.take(future.result())
            except BaseException as error:
                self._failed(part, error)
        self._closed(part)

    def _failed(self, part: _Part, error: BaseException) -> None:
        if isinstance(error, CallFailed):
            part.fail(error.reason, error.status)
        elif isinstance(error, TimeoutError):
            part.fail("timeout")
        elif part.optional and isinstance(error, Exception):
            LOG.error("part of an answer failed part=%s", part.key, exc_info=error)
            part.fail("failed")
        elif not self._over.done():
            part.fail("failed")
            self._over.set_exception(error)

    def _closed(self, part: _Part) -> None:
        self._open -= 1
        if self._over.done():
            return
        if part.reason is not None and not part.optional:
            self._over.set_exception(ComposeFailed(part.key, part.reason, part.status))
        elif self._open == 0:
            self._over.set_result(None)

    # ---- what is made of it

    def _response(self) -> Response:
        members: list[bytes] = []
        partial: list[str] = []
        errors: list[dict[str, object]] = []
        for key, part in self._parts.items():
            if isinstance(part, list):
                value = b"[" + b",".join(item.json or b"null" for item in part) + b"]"
                failed = [item for item in part if item.reason is not None]
                count = len(failed)
                self._tell(failed[:1], count, partial, errors)
            else:
                value = part.json or b"null"
                self._tell([part] if part.reason is not None else [], None, partial, errors)
            members.append(to_json(key) + b":" + value)
        fields = {"content-type": JSON}
        if partial:
            fields["tidegate-partial"] = ", ".join(partial)
            fields["cache-control"] = "no-store"
            if self._errors:
                members.append(b'"errors":' + to_json(errors))
        return Response(200, b"{" + b",".join(members) + b"}", fields)

    @staticmethod
    def _tell(failed: list[_Part], count: int | None, partial: list[str], errors: list[dict[str, object]]) -> None:
        for part in failed:
            status = "" if part.status is None else f";status={part.status}"
            counted = "" if count is None else f";count={count}"
            partial.append(f"{_token(part.key)};reason={part.reason}{status}{counted}")
            told: dict[str, object] = {"call": part.key, "reason": part.reason}
            if part.status is not None:
                told["status"] = part.status
            if count is not None:
                told["count"] = count
            errors.append(told)


def _awaits(value: object) -> bool:
    return isinstance(value, Optional) or isawaitable(value)


def _token(name: str) -> str:
    """A name as a token of RFC 9651, or as a string where it is none."""
    marks = set("!#$%&'*+-.^_`|~:/")
    if (
        name[:1].isascii()
        and name[:1].isalpha()
        and all((sign.isascii() and sign.isalnum()) or sign in marks for sign in name)
    ):
        return name
    shown = "".join(sign if " " <= sign <= "~" else "?" for sign in name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'
