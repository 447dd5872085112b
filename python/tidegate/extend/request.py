"""The request as a handler sees it: nothing of it is converted before it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pydantic_core import from_json

from tidegate.errors import BadContent
from tidegate.extend.calls import (
    ABSENT,
    MAX_ANSWER,
    Body,
    CallResponse,
    Fields,
    StreamedResponse,
    collected,
    encoded,
    streamed,
)
from tidegate.extend.multi import Headers, Multi

if TYPE_CHECKING:
    from tidegate._native import Call, Job
    from tidegate.extend.runner import Runner


class Request:
    """One request, given to a handler.

    A coroutine reads the body with `await request.body()` and its like; a plain function, which runs on a thread, with
    `request.read()`. Both give `ClientGone` once the client has left.
    """

    __slots__ = ("_body", "_headers", "_job", "_params", "_query", "_runner")
    _headers: Headers
    _params: dict[str, str]
    _query: Multi

    def __init__(self, job: Job, runner: Runner) -> None:
        self._job = job
        self._runner = runner
        self._body: bytes | None = None

    # ---- the head

    @property
    def method(self) -> str:
        """The method in upper case: `GET`."""
        return self._job.method

    @property
    def path(self) -> str:
        """The path in its normal form, still percent-encoded where it must be."""
        return self._job.path

    @property
    def params(self) -> dict[str, str]:
        """What the route's path captured, decoded: `{"order_id": "7"}` for `/orders/{order_id}`."""
        try:
            return self._params
        except AttributeError:
            self._params = self._job.params()
            return self._params

    @property
    def query_string(self) -> str:
        """The query as it was sent, without the `?`."""
        return self._job.query

    @property
    def query(self) -> Multi:
        """The query's parameters, decoded."""
        try:
            return self._query
        except AttributeError:
            self._query = Multi(parse_qsl(self._job.query, keep_blank_values=True))
            return self._query

    @property
    def headers(self) -> Headers:
        """The header fields; bytes beyond ASCII come as Latin-1."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Headers(self._job.headers())
            return self._headers

    def header(self, name: str, default: str | None = None) -> str | None:
        """The first value of one header; cheaper than `headers` when only a few are wanted."""
        value = self._job.header(name)
        return default if value is None else value

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies; the first of a name that comes twice, as browsers send the most specific first (RFC 6265)."""
        cookies: dict[str, str] = {}
        for line in self.headers.get_all("cookie"):
            for pair in line.split(";"):
                name, separator, value = pair.strip().partition("=")
                if separator:
                    cookies.setdefault(name, value.strip('"'))
        return cookies

    @property
    def host(self) -> str:
        """The host the client asked for, with its port if it named one."""
        return self._job.authority

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._job.scheme

    @property
    def url(self) -> str:
        """The address the client asked for."""
        query = self._job.query
        return f"{self._job.scheme}://{self._job.authority}{self._job.path}" + (f"?{query}" if query else "")

    @property
    def http_version(self) -> str:
        """`1.0`, `1.1` or `2`."""
        return self._job.version

    @property
    def client(self) -> str:
        """The client's IP address: the peer, or what a trusted proxy says; `unix:` for a peer on a UNIX socket."""
        return self._job.client

    @property
    def id(self) -> str:
        """The id that log, answer and services carry; empty when the policy `request_id` is off."""
        return self._job.request_id

    @property
    def route(self) -> str:
        """The name of the route."""
        return self._job.route

    @property
    def instead_of(self) -> str | None:
        """For a fallback: what happened to the call that it stands in for, such as `circuit_open`; else `None`."""
        return self._job.instead_of

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    # ---- the body, for coroutines

    async def body(self) -> bytes:
        """The whole body, up to the route's `max_body`; asked again it gives the same."""
        if self._body is None:
            self._body = self._job.take_body()
            if self._body is None:
                self._body = b"".join([piece async for piece in self._pieces()])
        return self._body

    async def text(self) -> str:
        """The whole body as UTF-8 text; `BadContent`, which answers 400, when it is none."""
        return _text(await self.body())

    async def json(self) -> Any:
        """The whole body as JSON; `BadContent`, which answers 400, when it is none."""
        return _json(await self.body())

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come; the client is held back while nobody takes them."""
        if self._body is not None:
            if self._body:
                yield self._body
            return
        async for piece in self._pieces():
            yield piece

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            piece = self._job.read()
            if piece is None:
                await self._runner.readable(self._job.number)
            elif piece:
                yield piece
            else:
                return

    # ---- the body, for plain functions

    def read(self) -> bytes:
        """The whole body, for plain functions: waits for it, which a coroutine must not."""
        if self._body is None:
            self._body = self._job.take_body()
            if self._body is None:
                self._body = b"".join(self.iterate())
        return self._body

    def read_json(self) -> Any:
        """The whole body as JSON, for plain functions; `BadContent`, which answers 400, when it is none."""
        return _json(self.read())

    def iterate(self) -> Iterator[bytes]:
        """The body in pieces as they come, for plain functions."""
        self._runner.must_not_be_the_loop("read a body that has not come yet", "`await request.body()`")
        while piece := self._job.read_blocking():
            yield piece

    # ---- calls to services

    def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        params: Fields | None = None,
        query: Fields | None = None,
        headers: Fields | None = None,
        forward: Iterable[str] = (),
        body: Body | None = None,
        json: Any = ABSENT,
        timeout: float | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> Coroutine[Any, Any, CallResponse]:
        """Calls a service of the gateway, through all that the gateway does for its calls. It begins at once.

        `path`: as it is, or with `{name}` for each of `params`, whose values can never lead out of their segment.
        `query` and `headers`: mappings or pairs; `None` leaves one out, a list repeats it. `forward`: names of the
        client's headers that go along. `body`: text, bytes, or an async iterator of them; or `json`: data. `timeout`:
        seconds, of those that are left to the request. `max_answer`: bytes of an answer that are taken.

        Who calls, the request id, the trace and the deadline go along by themselves. Any status is an answer. Raises
        `CallFailed` or one of its kinds when there is none, `UnknownService` for a name that the document does not
        have, and `ValueError` for what must not be sent.
        """
        self._runner.must_be_the_loop()
        if body is not None and isinstance(body, AsyncIterable) and json is ABSENT:
            begin = partial(self._ask, service, method, path, params, query, headers, forward, timeout)
            return collected(self, body, max_answer, begin)
        content_type, data = encoded(body, json)
        return self._ask(
            service, method, path, params, query, headers, forward, timeout, content_type, data, max_answer, False
        )

    def call_blocking(
        self,
        service: str,
        method: str,
        path: str,
        *,
        params: Fields | None = None,
        query: Fields | None = None,
        headers: Fields | None = None,
        forward: Iterable[str] = (),
        body: str | bytes | bytearray | memoryview | None = None,
        json: Any = ABSENT,
        timeout: float | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> CallResponse:
        """As `call`, for plain functions: waits for the answer, which a coroutine must not."""
        self._runner.must_not_be_the_loop("wait for a call", "`await request.call(...)`")
        content_type, data = encoded(body, json)
        return self._ask(
            service, method, path, params, query, headers, forward, timeout, content_type, data, max_answer, False
        ).wait()

    @asynccontextmanager
    async def stream_call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        params: Fields | None = None,
        query: Fields | None = None,
        headers: Fields | None = None,
        forward: Iterable[str] = (),
        body: Body | None = None,
        json: Any = ABSENT,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncIterator[StreamedResponse]:
        """As `call`, for an answer that is taken in pieces: `async for piece in response.stream()`.

        At the end of the `async with` block what is left of it is cancelled.
        """
        self._runner.must_be_the_loop()
        begin = partial(self._ask, service, method, path, params, query, headers, forward, timeout)
        async with streamed(self, body, json, begin) as (call, response):
            yield StreamedResponse(response._answer, call, self._runner)

    def _ask(
        self,
        service: str,
        method: str,
        path: str,
        params: Fields | None,
        query: Fields | None,
        headers: Fields | None,
        forward: Iterable[str],
        timeout: float | None,
        content_type: str | None,
        body: bytes | None,
        max_answer: int = MAX_ANSWER,
        streams: bool = True,
    ) -> Call:
        """Begins a call; `body` is `None` for one that is streamed, `streams` says so of the answer."""
        names = list(forward) if forward else None
        return self._runner.bridge.call(
            self._job,
            service,
            method,
            path,
            params,
            query,
            headers,
            content_type,
            names,
            body,
            timeout,
            max_answer,
            streams,
        )


def _json(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError as error:
        raise BadContent(f"the body is not JSON: {error}") from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadContent(f"the body is not UTF-8: byte {error.start} begins no character") from None
