"""What the process says when it is up: where it listens and what it serves, in one block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate._native import __version__
from tidegate.config.problem import count

if TYPE_CHECKING:
    from tidegate.admin import AdminServer
    from tidegate.serve.server import Server


def banner(server: Server, admin: AdminServer | None, seconds: float) -> str:
    """The block for stderr."""
    lines = [f"tidegate {__version__}  {count(server.workers, 'worker')}  ready in {seconds * 1000:.0f} ms"]
    for name, url in server.urls().items():
        shown = url.removeprefix("http+")
        lines.append(f"  {shown}" + ("" if name in shown else f"  {name}"))
    if admin is not None:
        lines.append(f"  {admin.url}  admin")
    return "\n".join(lines)
