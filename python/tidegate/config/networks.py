"""Lists of networks, which may be long: each is read once and stands beside the plan, named by what it holds.

A policy of the gateway stands in the plan of every route; a list of 100,000 networks had better not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from typing import NamedTuple

from tidegate.config import addresses
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path, count, quote

_COMMENT = re.compile(r"[#;].*")
_SHOWN = 5
"""Bad lines of a file that are told one by one."""


class _Read(NamedTuple):
    networks: tuple[str, ...]
    bad: tuple[int, ...]
    """Lines that have something else."""


def network_list(texts: Iterable[str], check: Check, path: Path) -> str:
    """The name of a list in the plan. `${file:...}` and `${env:...}` may bring many networks at once.

    They stand on lines of their own or are separated by spaces or commas; `#` and `;` begin a comment.
    """
    networks: list[str] = []
    for index, text in enumerate(texts):
        if not isinstance(text, Interpolated):
            networks.append(addresses.network(text, check, (*path, index)))
            continue
        read = _read(str(text))
        networks.extend(read.networks)
        for line in read.bad[:_SHOWN]:
            message = f"line {line} of {quote(text)} has something that is no address and no network"
            check.problem((*path, index), "bad_network", message, "write `10.0.0.0/8`, without bits behind the prefix")
        if len(read.bad) > _SHOWN:
            rest = count(len(read.bad) - _SHOWN, "more line")
            check.problem((*path, index), "bad_network", f"{rest} of {quote(text)} cannot be read")
    content = "\n".join(networks)
    name = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]
    check.networks[name] = content
    return name


@lru_cache(maxsize=8)
def _read(text: str) -> _Read:
    networks: list[str] = []
    bad: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        for entry in _COMMENT.sub("", line).replace(",", " ").split():
            try:
                networks.append(entry if entry == "unix:" else str(ip_network(entry)))
            except ValueError:
                if number not in bad[-1:]:
                    bad.append(number)
    return _Read(tuple(networks), tuple(bad))
