"""Calls of user code to services: what comes back, how it streams, and what is raised when nothing does.

The call itself is carried out by the engine, on the worker that has the exchange; what is awaited is a future of its
own that needs no task. See `crates/native/src/call.rs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pydantic_core import from_json, to_json

from tidegate.config.problem import did_you_mean
from tidegate.errors import BadAnswer, CallFailed, CallTimeout, ServiceUnavailable, UnknownService
from tidegate.extend.multi import Headers
from tidegate.extend.response import BYTES, JSON, TEXT, closable, piece

if TYPE_CHECKING:
    from tidegate._native import Answer, Call
    from tidegate.extend.request import Request
    from tidegate.extend.runner import Runner

Value: TypeAlias = str | int | float | bool | None
Fields: TypeAlias = Mapping[str, Value | Sequence[Value]] | Iterable[tuple[str, Value]]
"""Names and values; a value that is `None` is left out, a list repeats its name."""
Body: TypeAlias = str | bytes | bytearray | memoryview | AsyncIterable[str | bytes]

MAX_ANSWER = 8 << 20
"""Bytes of an answer that are collected, unless a call says otherwise."""


class _Absent:
    """No value: `None` is one in JSON."""


ABSENT: Any = _Absent()


class _Head:
    __slots__ = ("_answer", "_headers", "status")
    _headers: Headers

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status = answer.status

    @property
    def ok(self) -> bool:
        """Whether the status says so: 200 to 299."""
        return 200 <= self.status <= 299

    @property
    def headers(self) -> Headers:
        """The headers; names compare without case."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Headers(self._answer.headers())
            return self._headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """The first value of one header; cheaper than `headers` when only a few are wanted."""
        value = self._answer.header(name)
        return default if value is None else value

    def raise_for_status(self) -> Self:
        """Raises `CallFailed` with the reason `status` unless the status is 200 to 299; else gives the answer back."""
        if not self.ok:
            service = self._answer.service
            raise CallFailed(service, "status", message=f"service {service}: status {self.status}", status=self.status)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} of {self._answer.service}>"


class CallResponse(_Head):
    """What a service answered, as a whole. Its status is no exception: see `raise_for_status`."""

    __slots__ = ("_body",)
    _body: bytes

    @property
    def body(self) -> bytes:
        """The whole body."""
        try:
            return self._body
        except AttributeError:
            self._body = self._answer.body()
            return self._body

    def text(self) -> str:
        """The body as UTF-8 text; `BadAnswer`, a `CallFailed`, when it is none."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise _bad_answer(self._answer, f"not UTF-8: byte {error.start} begins no character") from None

    def json(self) -> Any:
        """The body as JSON; `BadAnswer`, a `CallFailed`, when it is none."""
        try:
            return from_json(self.body)
        except ValueError as error:
            raise _bad_answer(self._answer, f"not JSON: {error}") from None


class StreamedResponse(_Head):
    """What a service answers, in pieces; inside of `async with request.stream_call(...)`."""

    __slots__ = ("_call", "_runner")

    def __init__(self, answer: Answer, call: Call, runner: Runner) -> None:
        super().__init__(answer)
        self._call = call
        self._runner = runner

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes; the service is held back while nobody takes it."""
        while (taken := self._call.read()) != b"":
            if taken is None:
                await self._runner.readable(self._call.number)
            else:
                yield taken

    async def read(self, most: int = MAX_ANSWER) -> bytes:
        """What is left of the body, up to `most` bytes; `CallFailed` with the reason `too_large` beyond."""
        pieces: list[bytes] = []
        size = 0
        async for taken in self.stream():
            size += len(taken)
            if size > most:
                service = self._answer.service
                message = f"service {service}: the answer has more than {most} bytes"
                raise CallFailed(service, "too_large", code="upstream_body_too_large", message=message)
            pieces.append(taken)
        return b"".join(pieces)


def encoded(body: Body | None, json: Any) -> tuple[str | None, bytes]:
    """The content type and the bytes of a body that is not streamed."""
    if body is None and json is ABSENT:
        return None, b""
    if json is not ABSENT:
        if body is not None:
            raise TypeError("a call has a `body` or `json`, not both")
        return JSON, to_json(json)
    if isinstance(body, str):
        return TEXT, body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return BYTES, bytes(body)
    raise TypeError(f"a body is str, bytes or an async iterator of them, not {type(body).__name__}")


@asynccontextmanager
async def streamed(
    request: Request, body: Body | None, json: Any, begin: Any
) -> AsyncIterator[tuple[Call, CallResponse]]:
    """A call whose bodies stream; `begin` makes it from the content type and the bytes, `None` for pieces."""
    runner = request._runner
    pieces = body if isinstance(body, AsyncIterable) and json is ABSENT else None
    call: Call = begin(*((BYTES, None) if pieces is not None else encoded(body, json)))
    feeder = None if pieces is None else runner.aside(_feed(call, pieces, runner))
    try:
        try:
            response = await call
        except CallFailed:
            if feeder is not None and feeder.done() and (error := feeder.exception()) is not None:
                raise error from None
            raise
        yield call, response
    finally:
        if feeder is not None:
            feeder.cancel()
        call.abandon()


async def collected(request: Request, body: AsyncIterable[str | bytes], most: int, begin: Any) -> CallResponse:
    """Makes a call whose body streams, and collects its answer."""
    async with streamed(request, body, ABSENT, begin) as (call, response):
        whole = await StreamedResponse(response._answer, call, request._runner).read(most)
        response._body = whole
        return response


async def _feed(call: Call, pieces: AsyncIterable[str | bytes], runner: Runner) -> None:
    complete = False
    try:
        async with aclosing(closable(pieces)) as contents:
            async for content in contents:
                more = call.send_body(piece(content))
                if more is None:
                    return
                if not more:
                    await runner.writable(call.number)
        complete = True
    finally:
        call.end_body(complete)


# ---- what the engine raises

_TIMEOUTS = frozenset(
    {
        "timeout",
        "deadline_exceeded",
        "upstream_timeout",
        "upstream_first_byte_timeout",
        "upstream_try_timeout",
        "upstream_connect_timeout",
        "upstream_write_timeout",
    }
)
_CLOSED = frozenset({"circuit_open", "bulkhead_full", "queue_timeout", "no_target"})


def failure(service: str, code: str, status: int, title: str, detail: str | None) -> CallFailed:
    """The exception for a call that came to nothing; called by the engine's side."""
    message = f"service {service}: {code}: {detail or title}"
    if code in _TIMEOUTS:
        return CallTimeout(service, "timeout", code=code, message=message)
    if code in _CLOSED:
        return ServiceUnavailable(service, "open", code=code, message=message)
    reason = "too_large" if code == "upstream_body_too_large" else "unreachable"
    return CallFailed(service, reason, code=code, message=message)


def unknown_service(service: str, names: list[str]) -> UnknownService:
    """The exception for a name that the document does not have; called by the engine's side."""
    return UnknownService(service, did_you_mean(service, names))


def _bad_answer(answer: Answer, what: str) -> BadAnswer:
    service = answer.service
    return BadAnswer(service, "not_json", message=f"service {service}: the answer is {what}")


def call_of(exception: BaseException) -> CallFailed | None:
    """The failed call behind an exception: itself, or the first of a group that has nothing else."""
    if isinstance(exception, CallFailed):
        return exception
    if isinstance(exception, BaseExceptionGroup):
        calls = [call_of(inner) for inner in exception.exceptions]
        return calls[0] if all(calls) else None
    return None


__all__ = ["ABSENT", "MAX_ANSWER", "Body", "CallResponse", "Fields", "StreamedResponse"]
