"""The shop and its gateway, running in this process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidegate.admin import AdminServer
from tidegate.config import Loaded, load
from tidegate.demo.services import Shop
from tidegate.errors import UsageError
from tidegate.extend.handlers import find_modules_in
from tidegate.extend.loop_thread import LoopThread
from tidegate.extend.runner import Runner
from tidegate.serve.server import Server

DOCUMENT = Path(__file__).resolve().parents[3] / "examples" / "shop" / "gateway.yaml"


@dataclass
class RunningShop:
    """Where everything is."""

    url: str
    admin_url: str
    services: dict[str, str]
    """Addresses by service name."""
    document: Path


@contextlib.contextmanager
def running_shop(*, any_port: bool) -> Iterator[RunningShop]:
    """Runs the shop and its gateway on the document's ports if they are free; `any_port`: on any that are."""
    if not DOCUMENT.exists():
        raise UsageError("the demo runs in the source tree of Tidegate, where `examples/shop/gateway.yaml` is")
    with contextlib.ExitStack() as stack:
        loop = LoopThread("tidegate-demo")
        stack.callback(loop.stop)
        environment: dict[str, str] = {"SHOP_ACCESS_LOG": "off"}
        services: dict[str, str] = {}
        for variable, gateway in Shop().services().items():
            server = _start(gateway.load(), loop, stack)
            environment[variable] = next(iter(server.urls().values()))
            services[variable.lower().replace("_", "-")] = environment[variable]
        environment["SHOP_ADDRESS"] = _address(8080, any_port)
        environment["SHOP_ADMIN"] = _address(9900, any_port)
        find_modules_in(DOCUMENT)
        loaded = load(DOCUMENT, {**os.environ, **environment})
        server = _start(loaded, loop, stack)
        admin = AdminServer(environment["SHOP_ADMIN"], server)
        stack.callback(admin.stop)
        yield RunningShop(next(iter(server.urls().values())), admin.url, services, DOCUMENT)


def _start(loaded: Loaded, loop: LoopThread, stack: contextlib.ExitStack) -> Server:
    runner = Runner()
    loop.call(lambda: runner.attach(loop.loop))
    stack.callback(loop.call, runner.detach)
    server = Server(loaded, runner)
    stack.callback(server.stop)
    return server


def _address(port: int, any_port: bool) -> str:
    """The port where it is free; else one of the system's choice."""
    if not any_port:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return f"127.0.0.1:{port}"
    return "127.0.0.1:0"
