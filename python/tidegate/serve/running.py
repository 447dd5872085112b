"""A gateway that runs inside an event loop of the user's: for tests, notebooks and programs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from tidegate.admin import AdminServer
from tidegate.errors import UsageError
from tidegate.extend.runner import Runner
from tidegate.serve.included import tell_of_broken
from tidegate.serve.open_files import make_room_for_files
from tidegate.serve.server import Server
from tidegate.serve.services import RunningServices
from tidegate.serve.source import Documents, Source

CanaryCommand = Literal["pause", "resume", "promote", "roll_back", "restart"]


class Running:
    """A running gateway. Its coroutine handlers run on the loop that started it."""

    def __init__(self, server: Server, documents: Documents, admin: AdminServer | None) -> None:
        self._server = server
        self._documents = documents
        self._admin = admin

    @property
    def url(self) -> str:
        """The first listener as a client would write it: `http://127.0.0.1:43211`."""
        return next(iter(self._server.urls().values()))

    @property
    def urls(self) -> dict[str, str]:
        """Every listener as a client would write it, by name."""
        return self._server.urls()

    @property
    def admin_url(self) -> str | None:
        """The admin listener; `None` when the document has none."""
        return self._admin.url if self._admin else None

    def address(self, name: str | None = None) -> tuple[str, int]:
        """Host and port of a listener, the first unless named."""
        addresses = self._server.addresses()
        name = next(iter(addresses)) if name is None else name
        if (address := addresses.get(name)) is None:
            raise UsageError(f"there is no listener `{name}` with a port; there are {', '.join(addresses)}")
        return address

    async def reload(self, source: Source | None = None) -> None:
        """Puts another document in place of the running one, or reads the same again.

        Everything is built first and swapped as one. `ConfigError` and `ListenError` mean that nothing has changed.
        """
        documents = self._documents if source is None else Documents(source, any_port=True)
        tell_of_broken(await asyncio.to_thread(lambda: self._server.reload_from(documents)))
        self._documents = documents

    @property
    def services(self) -> RunningServices:
        """The services by name, whose targets can be changed: `running.services["orders"].targets = [...]`."""
        return RunningServices(self._server)

    def metrics(self) -> str:
        """What was counted, as Prometheus text."""
        return self._server.metrics()[1]

    def canaries(self) -> list[dict[str, Any]]:
        """Where the canaries are: route, services, phase, step, share from 0 to 1, requests seen in the step."""
        return self._server.canaries()

    async def canary(self, route: str, command: CanaryCommand) -> bool:
        """Does something to the canary of a route; false where it means nothing now, such as to pause what is over."""
        return await asyncio.to_thread(self._server.command_canary, route, command)

    async def drain(self, seconds: float | None = None) -> bool:
        """Stops accepting and waits for what is open; true when all of it finished."""
        timeout = None if seconds is None else round(seconds * 1000)
        return await asyncio.to_thread(self._server.drain, timeout)

    async def advance(self, seconds: float) -> None:
        """Moves the gateway's clock forward, so that a test of a timeout need not wait for it."""
        await asyncio.to_thread(self._server.advance, seconds)


@asynccontextmanager
async def serve(source: Source, *, workers: int | None = None) -> AsyncIterator[Running]:
    """Serves while the block runs, then ends what is still open.

    Without `listeners` in the document the system chooses a port on loopback; so it does for port 0.
    """
    documents = Documents(source, any_port=True)
    runner = Runner()
    runner.attach(asyncio.get_running_loop())
    try:
        await asyncio.to_thread(make_room_for_files)
        server = await asyncio.to_thread(lambda: Server(documents.load(), runner, workers))
        admin = None
        try:
            if server.loaded.admin is not None:
                admin = await asyncio.to_thread(AdminServer, server.loaded.admin, server)
            tell_of_broken(server.loaded)
            yield Running(server, documents, admin)
        finally:
            if admin is not None:
                await asyncio.to_thread(admin.stop)
            await asyncio.to_thread(server.stop)
    finally:
        runner.detach()
