"""One GET over HTTP/1.1, for documents that an issuer publishes.

A document a few times an hour needs no pool and no client library; it needs bounds on everything: one deadline over the
whole, a limit on the size, redirects that never lead from https to http or to another host without it.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import ssl
from dataclasses import dataclass
from email.message import Message
from urllib.parse import SplitResult, urljoin, urlsplit

from tidegate._native import __version__

MOST_BYTES = 1 << 20
"""Of a body."""
MOST_HEAD_BYTES = 1 << 15
MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchError(Exception):
    """The document could not be had; `str()` says why in one line, for the log."""


@dataclass(frozen=True)
class Fetched:
    """An answer with status 200."""

    url: str
    """Where it was, behind redirects."""
    headers: Message
    body: bytes


def trust(ca: str | None) -> ssl.SSLContext:
    """Verifies certificates by the system's authorities, or by those of a PEM text alone."""
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def fetch(url: str, context: ssl.SSLContext, seconds: float) -> Fetched:
    """The document at a URL; everything together within `seconds`. Raises `FetchError`."""
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, context)
    except TimeoutError:
        raise FetchError(f"timed out after {seconds:g}s") from None
    except (OSError, EOFError, ValueError, http.client.HTTPException, asyncio.LimitOverrunError) as error:
        raise FetchError(_words(error)) from error


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not verify: {error.verify_message}"
    if isinstance(error, EOFError):
        return "the connection ended before the answer"
    if isinstance(error, asyncio.LimitOverrunError):
        return "the head of the answer is too large"
    return " ".join(str(error).split()) or type(error).__name__


async def _follow(url: str, context: ssl.SSLContext) -> Fetched:
    for _ in range(MOST_REDIRECTS + 1):
        status, headers, body = await _get(urlsplit(url), context)
        if status == 200:
            return Fetched(url, headers, body)
        location = headers.get("location")
        if status not in _REDIRECTS or location is None:
            raise FetchError(f"the answer has status {status}")
        target = urljoin(url, location)
        if not _may_go(urlsplit(url), urlsplit(target)):
            raise FetchError("the answer is a redirect that is not followed")
        url = target
    raise FetchError("too many redirects")


def _may_go(here: SplitResult, there: SplitResult) -> bool:
    return there.scheme == "https" or (there.scheme, there.netloc) == (here.scheme, here.netloc)


async def _get(url: SplitResult, context: ssl.SSLContext) -> tuple[int, Message, bytes]:
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise FetchError("the URL is not of the form https://host/path")
    secure = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port or (443 if secure else 80), ssl=context if secure else None, limit=MOST_HEAD_BYTES
    )
    try:
        writer.write(_request(url))
        await writer.drain()
        status, headers = await _head(reader)
        return status, headers, await _body(reader, headers) if status == 200 else b""
    finally:
        # Nothing more is to be said, so there is no goodbye to wait for.
        writer.transport.abort()


def _request(url: SplitResult) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {url.netloc}",
        f"User-Agent: tidegate/{__version__}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    head = "\r\n".join(lines)
    if not head.isascii() or len(head.splitlines()) != len(lines) or " " in target or " " in url.netloc:
        raise FetchError("the URL has characters that must be escaped")
    return head.encode() + b"\r\n\r\n"


async def _head(reader: asyncio.StreamReader) -> tuple[int, Message]:
    while True:
        line, _, fields = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        version, _, rest = line.partition(b" ")
        status = rest[:3]
        if not version.startswith(b"HTTP/1.") or not status.isdigit():
            raise FetchError("the answer is not HTTP/1.1")
        if not status.startswith(b"1"):  # an interim answer, and the one that counts follows
            return int(status), http.client.parse_headers(io.BytesIO(fields))


async def _body(reader: asyncio.StreamReader, headers: Message) -> bytes:
    coding = (headers.get("transfer-encoding") or "").strip().lower()
    if coding:
        if coding != "chunked":
            raise FetchError("the answer has a transfer coding that is not known")
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        return await _until_the_end(reader)
    if not length.strip().isdecimal():
        raise FetchError("the answer has no valid length")
    _check_size(int(length.strip()[:12]))
    return await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0].strip(), 16)
        if size < 0:
            raise FetchError("the answer has a chunk of no valid size")
        if size == 0:
            return bytes(body)
        _check_size(len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise FetchError("the answer has a chunk that does not end")


async def _until_the_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while piece := await reader.read(1 << 16):
        body += piece
        _check_size(len(body))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise FetchError("the answer is larger than 1 MiB")
