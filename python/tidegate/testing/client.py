"""Asks a gateway, from a test that blocks or one that awaits."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json as codec
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tidegate.testing.answer import Answer
from tidegate.testing.compare import MISSING
from tidegate.testing.waiting import DEADLINE

if TYPE_CHECKING:
    from tidegate.testing.gateway import RunningGateway

Body = bytes | str


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: Body | None = None,
    json: Any = MISSING,
    tls: ssl.SSLContext | None = None,
    timeout: float = DEADLINE,
) -> Answer:
    """One request on a connection of its own, and the whole answer."""
    connection = _connection(address, tls, timeout)
    with contextlib.closing(connection):
        return _exchange(connection, method, path, headers, query, body, json)


async def ask_async(
    address: tuple[str, int],
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: Body | None = None,
    json: Any = MISSING,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """The same without blocking the loop. A caller that is cancelled hangs up, as a client that leaves."""
    connection = _connection(address, tls, DEADLINE)
    asked = asyncio.get_running_loop().run_in_executor(
        None, _exchange, connection, method, path, headers, query, body, json
    )
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        if connection.sock is not None:
            with contextlib.suppress(OSError):  # it may be over
                connection.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, http.client.HTTPException):
            await asked
        raise
    finally:
        connection.close()


def _connection(
    address: tuple[str, int], tls: ssl.SSLContext | None, timeout: float
) -> http.client.HTTPConnection | http.client.HTTPSConnection:
    host, port = address
    if tls is None:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=tls)


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None,
    query: Mapping[str, str] | None,
    body: Body | None,
    json: Any,
) -> Answer:
    fields = dict(headers or {})
    if json is not MISSING:
        body = codec.dumps(json, ensure_ascii=False).encode()
        if not any(name.lower() == "content-type" for name in fields):
            fields["content-type"] = "application/json"
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query)
    connection.request(method, path, body=body, headers=fields)
    answer = connection.getresponse()
    got = [(name.lower(), value) for name, value in answer.getheaders()]
    return Answer(answer.status, got, answer.read(), f"{method} {path}")


class AsyncClient:
    """The client of a gateway for tests that await: `await gateway.asynchronous.get("/orders/1")`."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        """One request on a connection of its own, and the whole answer; `options` as of `RunningGateway.request`."""
        listener = options.pop("listener", None)
        options.setdefault("tls", self._gateway.trust(listener))
        if (claims := options.pop("claims", None)) is not None:
            options["headers"] = {**(options.get("headers") or {}), **self._gateway.bearer(claims)}
        return await ask_async(self._gateway.address(listener), method, path, **options)

    async def get(self, path: str, **options: Any) -> Answer:
        """A GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        """A POST."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        """A PUT."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> Answer:
        """A PATCH."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        """A DELETE."""
        return await self.request("DELETE", path, **options)
