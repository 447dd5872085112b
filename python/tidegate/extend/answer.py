"""Turns what a handler returned into the answer of its job."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from tidegate.extend.response import BYTES, JSON, TEXT, Response, closable, encode, not_an_answer, piece, struct

if TYPE_CHECKING:
    from tidegate._native import Job
    from tidegate.extend.runner import Runner

Fields = list[tuple[str, str]] | None


ANSWERED = object()
"""What is returned by whoever has answered the job itself."""


async def answer(job: Job, result: object, runner: Runner) -> None:
    """Answers with what a coroutine returned."""
    if result is ANSWERED:
        return
    if type(result) is dict or type(result) is list:
        job.answer(200, JSON, None, to_json(result, fallback=struct))
    elif (content := _open(job, result)) is not None:
        status, fields, pieces = content
        if isinstance(pieces, AsyncIterable):
            await stream(job, pieces, runner, status, fields)
        else:
            await stream(job, _lifted(pieces), runner, status, fields)


def answer_blocking(job: Job, result: Any, runner: Runner) -> None:
    """Answers with what a plain function returned, on its own thread."""
    if isawaitable(result):
        result = runner.on_loop(_awaited(result))
    if (content := _open(job, result)) is not None:
        status, fields, pieces = content
        if isinstance(pieces, AsyncIterable):
            runner.on_loop(stream(job, pieces, runner, status, fields))
        else:
            _stream_blocking(job, pieces, status, fields)


def _open(job: Job, result: object) -> tuple[int, Fields, Any] | None:
    """Answers at once with a whole body; for a stream returns status, headers and pieces."""
    status, fields, body = 200, None, result
    if isinstance(result, Response):
        status, fields, body = result.status, result.fields(), result.body
        if body is None:
            job.answer(status, None, fields, b"")
            return None
    if (whole := encode(body)) is not None:
        job.answer(status, whole[0], fields, whole[1])
        return None
    if isinstance(body, AsyncIterable | Iterator) or (isinstance(result, Response) and isinstance(body, Iterable)):
        return status, fields, body
    raise not_an_answer(body)


async def stream(
    job: Job, pieces: AsyncIterable[Any], runner: Runner, status: int = 200, fields: Fields = None
) -> None:
    """Sends pieces as they come; their maker waits while the client takes none.

    The head leaves with the first piece, so that a failure before it is still a 500.
    """
    begun = False
    async with aclosing(closable(pieces)) as pieces:
        async for content in pieces:
            if not begun:
                job.start(status, TEXT if isinstance(content, str) else BYTES, fields)
                begun = True
            if not job.send(piece(content)):
                await runner.writable(job.number)
    if begun:
        job.end()
    else:
        job.answer(status, None, fields, b"")


def _stream_blocking(job: Job, pieces: Iterable[Any], status: int, fields: Fields) -> None:
    begun = False
    for content in pieces:
        if not begun:
            job.start(status, TEXT if isinstance(content, str) else BYTES, fields)
            begun = True
        job.send_blocking(piece(content))
    if begun:
        job.end()
    else:
        job.answer(status, None, fields, b"")


async def _awaited(result: Any) -> Any:
    return await result


async def _lifted(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    for content in pieces:
        yield content
