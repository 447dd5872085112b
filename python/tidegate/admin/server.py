"""The admin listener: a small gateway of its own, whose handlers show another.

It has its own worker, its own loop and its own thread, so that neither busy workers nor busy handlers stop it.
"""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tidegate.admin.pages import Page, Pages, for_this_machine
from tidegate.config import Gateway, Listener, Route
from tidegate.errors import ListenError
from tidegate.extend.loop_thread import LoopThread
from tidegate.extend.runner import Runner

if TYPE_CHECKING:
    from tidegate.serve.server import Server


_IN_USE = (
    "another process has the admin port, perhaps another gateway: stop it, or give this one another `admin` address "
    "(`admin: off` for none)"
)


class AdminServer:
    """Serves the admin pages of `server` until it is stopped.

    Its address is not shared: of two gateways on one port, nobody could tell which one answers.
    """

    def __init__(self, address: str, server: Server) -> None:
        from tidegate.serve.server import Server

        pages = Pages(server)
        asked = [("GET", path, page) for path, page in pages.by_path().items()]
        asked += [("POST", path, page) for path, page in pages.by_path_of_posts().items()]
        guarded = for_this_machine if _is_loopback(address) else _as_it_is
        routes = [
            Route(name=f"{method} {path}", paths=[f"={path}"], methods=[method], handler=guarded(page))
            for method, path, page in asked
        ]
        gateway = Gateway(listeners=[Listener(address=address)], routes=routes, access_log="off", admin=None)
        self._thread = LoopThread("tidegate-admin")
        self._runner = Runner()
        try:
            self._thread.call(lambda: self._runner.attach(self._thread.loop))
            self._server = Server(gateway.load(), self._runner, workers=1, exclusive=True)
        except ListenError as error:
            self._close_loop()
            hint = _IN_USE if error.errno == errno.EADDRINUSE else None
            raise ListenError("admin", address, error.errno, error.reason, hint) from None
        except BaseException:
            self._close_loop()
            raise

    @property
    def url(self) -> str:
        """Where it listens, as a client would write it."""
        return next(iter(self._server.urls().values()))

    def stop(self) -> None:
        """Ends it at once."""
        self._server.stop()
        self._close_loop()

    def _close_loop(self) -> None:
        self._thread.call(self._runner.detach)
        self._thread.stop()


def _as_it_is(page: Page) -> Page:
    return page


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False  # a UNIX socket, which no browser reaches
