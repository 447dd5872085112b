"""Addresses, URLs, host names and networks, as the document writes them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import NamedTuple

from tidegate.config import paths
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import port_hint

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)([?#].*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]+))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_PORTS = {"http": 80, "https": 443}
_LONGEST_HOST = 253


class Url(NamedTuple):
    """The parts of a service's URL."""

    tls: bool
    host: str
    port: int
    path: str
    unix: str | None = None


def url(text: str, check: Check, path: Path) -> Url | None:
    """Takes a URL apart."""
    if text.startswith("unix:"):
        file = text.removeprefix("unix:").removeprefix("//")
        if not file.startswith("/"):
            check.problem(path, "bad_url", f"expected `unix:/path`, got {quote(text)}")
            return None
        return Url(False, "localhost", 80, "", file)
    match = _URL.fullmatch(text)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in _PORTS:
        hint = None
        if match is not None and scheme in ("grpc", "grpcs", "h2", "h2c"):
            hint = f"write `{'https' if scheme in ('grpcs', 'h2') else 'http'}://...` and `protocol: h2`"
        elif match is None and _AUTHORITY.fullmatch(text.partition("/")[0]):
            hint = "put `http://` before it"
        check.problem(path, "bad_url", f"expected a URL such as `http://host:port/path`, got {quote(text)}", hint)
        return None
    if "@" in match[2]:
        check.problem(
            path,
            "bad_url",
            "a URL here holds no user and password",
            "set an `authorization` header with `request_headers`",
        )
        return None
    if match[4]:
        check.problem(path, "bad_url", f"a URL here has no query and no fragment, got {quote(text)}")
        return None
    authority = host_port(match[2], _PORTS[scheme], check, path)
    return authority and Url(scheme == "https", authority[0], authority[1], base_path(match[3], check, path))


def host_port(text: str, default: int | None, check: Check, path: Path) -> tuple[str, int] | None:
    """A host (lower case) and a port."""
    match = _AUTHORITY.fullmatch(text)
    port = int(match[2]) if match and match[2] and len(match[2]) < 6 else default if match and not match[2] else None
    if match is None or port is None or not 0 < port < 65536:
        check.problem(path, "bad_address", f"expected `host:port`, got {quote(text)}")
        return None
    name = match[1].lower()
    if name.startswith("["):
        if not _is_ip(name[1:-1]):
            check.problem(path, "bad_address", f"{quote(match[1])} is not an IPv6 address")
            return None
    elif not _is_ip(name) and (bad := _bad_host(name.removesuffix("."))):
        check.problem(path, "bad_address", f"{quote(match[1])} is not a host name: {bad}", _punycode(name))
        return None
    return name.removesuffix("."), port


def base_path(text: str, check: Check, path: Path) -> str:
    """The path before every path of a service, without a slash at its end."""
    if text and not text.startswith("/"):
        check.problem(path, "bad_path", f"expected a path that starts with `/`, got {quote(text)}", f"write `/{text}`")
    problems: list[tuple[str, str | None]] = []
    segments = [paths.normal(segment, problems) for segment in text.split("/") if segment]
    if "?" in text or "#" in text:
        problems.append((f"a path of a service has no `?` and no `#`, got {quote(text)}", None))
    if any(segment.startswith((".;", "..;", ".%3B", "..%3B")) or segment in (".", "..") for segment in segments):
        problems.append((f"a path of a service has no `.` and `..`, got {quote(text)}", None))
    for message, hint in problems:
        check.problem(path, "bad_path", message, hint)
    return "".join(f"/{segment}" for segment in segments)


def listener_address(text: str, check: Check, path: Path) -> str:
    """`IP:PORT` or `unix:/path`, as the engine takes it."""
    if text.startswith("unix:"):
        file = text.removeprefix("unix:").removeprefix("//")
        if not file.startswith("/"):
            check.problem(path, "bad_address", f"expected `unix:/path`, got {quote(text)}")
        return f"unix:{file}"
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        hint = port_hint(text) if text.isdecimal() else f"write `{text}:8080`" if _is_ip(text) and "." in text else None
        check.problem(path, "bad_address", f"expected `IP:PORT` or `unix:/path`, got {quote(text)}", hint)
        return text
    host = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_ip(bare):
        check.problem(
            path,
            "bad_address",
            f"{quote(bare)} is not an IP address",
            "a listener takes the address of this machine, not a name",
        )
        return text
    if ":" in bare and bare == host:
        check.problem(
            path, "bad_address", f"an IPv6 address stands in brackets, got {quote(text)}", f"write `[{bare}]:{port}`"
        )
    return f"[{bare}]:{int(port)}" if ":" in bare else f"{bare}:{int(port)}"


def route_host(text: str, check: Check, path: Path) -> str:
    """A host pattern of a route: lower case, no port, no dot at its end."""
    name = text.lower().removesuffix(".")
    if name.startswith("[") and name.endswith("]") and _is_ip(name[1:-1]):
        return name
    bare = name.removeprefix("*.")
    if ":" in name:
        shown = text.rpartition(":")[0]
        check.problem(
            path,
            "bad_host",
            f"a host has no port here, got {quote(text)}",
            f"write `{shown}`; the port is the listener's",
        )
    elif "*" in bare:
        check.problem(
            path, "bad_host", f"`*` stands only for the first labels, got {quote(text)}", "write `*.example.com`"
        )
    elif bad := _bad_host(bare):
        check.problem(path, "bad_host", f"{quote(text)} is not a host name: {bad}", _punycode(bare))
    return name


def network(text: str, check: Check, path: Path) -> str:
    """A network in CIDR form; a single address is a network of one, `unix:` stands for peers on UNIX sockets."""
    if text.strip() in ("unix", "unix:"):
        return "unix:"
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_network(text.strip(), strict=True))
    hint = None
    with contextlib.suppress(ValueError):
        hint = f"write `{ipaddress.ip_network(text.strip(), strict=False)}`"
    check.problem(
        path, "bad_network", f"expected an address or a network such as `10.0.0.0/8`, got {quote(text)}", hint
    )
    return text


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _bad_host(name: str) -> str | None:
    """Why this is not a host name."""
    if not name:
        return "it is empty"
    if not name.isascii():
        return "it is written in punycode, in ASCII"
    if len(name) > _LONGEST_HOST:
        return f"it is longer than {_LONGEST_HOST} characters"
    for label in name.split("."):
        if not label:
            return "a label is empty"
        if len(label) > 63:
            return "a label is longer than 63 characters"
        if not _LABEL.fullmatch(label):
            return f"`{label}` has characters that names do not have"
        if label.startswith("xn--") and not _is_punycode(label):
            return f"`{label}` is not punycode"
    return None


def _is_punycode(label: str) -> bool:
    try:
        return bool(label[4:].encode("ascii").decode("punycode"))
    except (UnicodeError, ValueError, OverflowError):
        return False


def _punycode(name: str) -> str | None:
    if name.isascii():
        return None
    try:
        return f"write `{name.encode('idna').decode('ascii')}`"
    except (UnicodeError, ValueError):
        return None
