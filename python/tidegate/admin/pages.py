"""What the admin listener shows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tidegate.config import redacted
from tidegate.extend.request import Request
from tidegate.extend.response import Response

if TYPE_CHECKING:
    from tidegate.serve.server import Server

Page = Callable[[Request], Awaitable[Any]]


def for_this_machine(page: Page) -> Page:
    """The page, for requests that name this machine or an address.

    A web page elsewhere can make its own name point to loopback, and would then be let read what is shown here (DNS
    rebinding); the name is still in `Host`.
    """

    async def guarded(request: Request) -> Any:
        if _names_this_machine(request.host):
            return await page(request)
        return Response(403, "this listener is on loopback: ask for it as `localhost` or by its address\n")

    return guarded


def _names_this_machine(authority: str) -> bool:
    name = re.sub(r":\d*$", "", authority.lower()).rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Pages:
    """The pages about one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def by_path(self) -> dict[str, Page]:
        """Every page by its path."""
        return {
            "/": self.index,
            "/livez": self.livez,
            "/readyz": self.readyz,
            "/metrics": self.metrics,
            "/services": self.services,
            "/config": self.config,
            "/canaries": self.canaries,
            "/breakers": self.breakers,
            "/documents": self.documents,
        }

    def by_path_of_posts(self) -> dict[str, Page]:
        """What operators can change, by its path."""
        return {"/breakers": self.force_breaker}

    async def index(self, _: Request) -> Response:
        """Which pages there are, and what they show."""
        lines = [
            f"{path:10} {(page.__doc__ or '').splitlines()[0]}" for path, page in self.by_path().items() if path != "/"
        ]
        return Response(200, "tidegate\n\n" + "\n".join(lines) + "\n")

    async def livez(self, _: Request) -> Response:
        """200 while the process can answer."""
        return Response(200, "live\n")

    async def readyz(self, _: Request) -> Response:
        """200 while traffic is welcome: the document is applied, keys and quotas are there, nothing is draining."""
        if self._server.draining:
            return Response(503, {"ready": False, "reason": "draining"})
        if missing := self._server.keys_missing():
            return Response(503, {"ready": False, "reason": "keys of token issuers have not come", "keys": missing})
        state: dict[str, Any] = {"ready": True, "listeners": self._server.urls()}
        if (sync := self._server.key_sync) is not None:
            state["keys"] = sync.state()
            if not sync.loaded:
                # Callers with a key would be turned away; whoever has read the store can serve them.
                return Response(503, state | {"ready": False, "reason": "the key store has not been read"})
        if self._server.awaits_quotas():
            return Response(503, state | {"ready": False, "reason": "the quotas of the store have not been read"})
        if (book := self._server.quotas) is not None and book.fault is not None:
            # Counting goes on in memory, or as `on_store_failure` says.
            state["quotas"] = {"state": "stale" if book.loaded else "unknown", "store": book.url.shown}
        if self._server.refused is not None:
            # The document that runs is whole; taking every gateway out of service for a bad edit would help nobody.
            state["reload_refused"] = self._server.refused.splitlines()
        if broken := self._server.loaded.broken:
            state["documents"] = [one.to_json() for one in broken]
        return Response(200, state)

    async def metrics(self, request: Request) -> Response:
        """What was counted, as Prometheus text."""
        content_type, text = self._server.metrics(request.header("accept") or "")
        return Response(200, text, {"content-type": content_type})

    async def canaries(self, _: Request) -> Response:
        """Where the canaries are: phase, step, share, and why one went back."""
        return Response(200, {"canaries": self._server.canaries()})

    async def breakers(self, _: Request) -> Response:
        """Circuit breakers; POST `{"breaker": NAME, "state": "open" | "closed" | "auto"}` forces one."""
        return Response(200, {"breakers": self._server.breakers()})

    async def force_breaker(self, request: Request) -> Response:
        """Forces a circuit breaker open or closed, or leaves it to itself again."""
        # A form on a web page elsewhere cannot send this type without asking first, and nobody answers that question.
        if (request.header("content-type") or "").partition(";")[0].strip().lower() != "application/json":
            return Response(415, {"error": "send `application/json`"})
        wish = await request.json()
        name, state = (wish.get("breaker"), wish.get("state")) if isinstance(wish, dict) else (None, None)
        if not isinstance(name, str) or state not in ("open", "closed", "auto"):
            return Response(400, {"error": 'send {"breaker": NAME, "state": "open" | "closed" | "auto"}'})
        if not self._server.force_breaker(name, state):
            return Response(404, {"error": f"there is no circuit breaker named `{name}`"})
        return Response(200, {"breakers": self._server.breakers()})

    async def services(self, _: Request) -> Response:
        """The services with their targets, and which of these are well."""
        return Response(200, {"services": self._server.health()})

    async def documents(self, _: Request) -> Response:
        """The documents that are included, and what is wrong with those that are broken."""
        loaded = self._server.loaded
        broken = {one.file: one.to_json() for one in loaded.broken}
        files = [str(one.file) for one in loaded.included]
        return Response(200, {"documents": [broken.get(file) or {"file": file, "state": "current"} for file in files]})

    async def config(self, _: Request) -> Response:
        """The running document, without its secrets."""
        return Response(200, redacted(self._server.loaded.written()))
