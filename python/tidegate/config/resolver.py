"""How names of services are looked up."""

from __future__ import annotations

import ipaddress
from typing import Any, Literal

from pydantic import Field

from tidegate.config import addresses
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Integer, Texts

PORT = 53


class Resolver(Model):
    """How names of services are looked up."""

    servers: Texts = Field(
        default_factory=list,
        description="Addresses of name servers, `10.0.0.2` or `10.0.0.2:5353`, asked one after another. Without any, "
        "`/etc/hosts`, the servers of `/etc/resolv.conf`, and what else the system knows.",
    )
    timeout: Duration = Field(2000, description="How long one of `servers` is waited for.")
    attempts: Integer = Field(2, ge=1, le=10, description="How often all of `servers` are asked.")
    search: Texts = Field(
        default_factory=list, description="Domains that are tried behind names without a dot, with `servers`."
    )
    family: Literal["any", "ipv4", "ipv6"] = Field("any", description="Addresses that are used.")
    minimum_ttl: Duration = Field(1000, description="An answer is believed so long at least.")
    maximum_ttl: Duration = Field(3_600_000, description="An answer is believed so long at most, whatever it says.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if int(self.minimum_ttl) > int(self.maximum_ttl):
            check.problem((*path, "minimum_ttl"), "bad_value", "`minimum_ttl` is longer than `maximum_ttl`")
        return {
            "servers": [_server(text, check, (*path, "servers", index)) for index, text in enumerate(self.servers)],
            "timeout_ms": self.timeout,
            "attempts": self.attempts,
            "search": [_domain(text, check, (*path, "search", index)) for index, text in enumerate(self.search)],
            "family": self.family,
            "minimum_ttl_ms": self.minimum_ttl,
            "maximum_ttl_ms": self.maximum_ttl,
        }


def _server(text: str, check: Check, path: Path) -> str:
    try:
        return f"[{text}]:{PORT}" if ipaddress.ip_address(text).version == 6 else f"{text}:{PORT}"
    except ValueError:
        pass
    inner = Check()
    authority = addresses.host_port(text, PORT, inner, ())
    host, port = authority or ("", 0)
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        check.problem(path, "bad_address", f"expected the IP address of a name server, got {quote(text)}")
    return f"{host}:{port}"


def _domain(text: str, check: Check, path: Path) -> str:
    inner = Check()
    authority = addresses.host_port(text.removesuffix("."), 80, inner, ())
    if authority is None or ":" in text:
        check.problem(path, "bad_host", f"{quote(text)} is not a domain")
    return authority[0] if authority else ""
