"""Room for as many connections as there may be, before the first of them comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource

ROOM = 65_536
"""Descriptors for which the kernel's table has room from the start: half a megabyte of its memory."""


def allow_open_files() -> None:
    """Raises the soft limit on open files to the hard one: every connection is one, and the usual 1024 are soon gone.

    The low soft limit is there for programs that use select(2), which sees no higher numbers.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS takes no `unlimited`
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def make_room_for_files(room: int = ROOM) -> None:
    """Grows the kernel's table of descriptors once, as far as the limit lets it.

    The table doubles when it is full, and in a process of several threads whoever needs the next descriptor waits for
    an RCU grace period then: a worker stood still for 10 to 30 ms at its 256th, 512th and 1024th connection, which a
    service that hangs has it open within a second. Before there are threads it costs nothing.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = (room if soft == resource.RLIM_INFINITY else min(room, soft)) - 1
    with contextlib.suppress(OSError, ValueError):  # what cannot be had in advance comes when it is needed
        descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.close(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, highest))
        finally:
            os.close(descriptor)
