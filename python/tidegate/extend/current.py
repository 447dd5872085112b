"""The request that is being answered, for code that is not handed it: nested functions, and ASGI applications."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any

from tidegate.extend.calls import ABSENT, MAX_ANSWER, Body, CallResponse, Fields, StreamedResponse
from tidegate.extend.request import Request

CURRENT: ContextVar[Request] = ContextVar("tidegate.request")


def current_request() -> Request:
    """The request that this code runs for; `LookupError` where there is none."""
    try:
        return CURRENT.get()
    except LookupError:
        raise LookupError("this code does not run for a request of the gateway") from None


def call(
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
    """Calls a service for the current request, as `Request.call` does."""
    return current_request().call(
        service,
        method,
        path,
        params=params,
        query=query,
        headers=headers,
        forward=forward,
        body=body,
        json=json,
        timeout=timeout,
        max_answer=max_answer,
    )


def call_blocking(service: str, method: str, path: str, **options: Any) -> CallResponse:
    """As `Request.call_blocking`, for the current request; for threads."""
    return current_request().call_blocking(service, method, path, **options)


def stream_call(service: str, method: str, path: str, **options: Any) -> AbstractAsyncContextManager[StreamedResponse]:
    """As `Request.stream_call`, for the current request."""
    return current_request().stream_call(service, method, path, **options)
