"""Web origins as the document writes them: `https://shop.example.com`, `https://*.example.com`, `~regex`, `*`."""

from __future__ import annotations

import re
from typing import Any

from tidegate.config import addresses
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\*\.)?([^/?#*@\s]*)(/?)", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}


def origin(text: str, check: Check, path: Path) -> str:
    """One origin, exactly as browsers write it: lower case, without the scheme's own port."""
    planned = _plain(text, check, path)
    if "below" in planned:
        check.problem(path, "bad_origin", f"expected one origin, without `*`, got {quote(text)}")
    return str(planned.get("exact", ""))


def pattern(text: str, check: Check, path: Path) -> str | dict[str, Any]:
    """An origin, or many, as the engine takes it."""
    if text == "*":
        return "any"
    if text == "null":
        return {"exact": "null"}
    if text.startswith("~"):
        return {"regex": text[1:].strip()}
    return _plain(text, check, path)


def _plain(text: str, check: Check, path: Path) -> dict[str, Any]:
    match = _ORIGIN.fullmatch(text)
    if match is None or match[4]:
        hint = None
        if match is not None:
            hint = f"write `{text.rstrip('/')}`, an origin has no path"
        elif re.fullmatch(r"[a-zA-Z0-9*][a-zA-Z0-9.-]*(:\d+)?", text):
            hint = f"write `https://{text}`"
        elif "://" in text and "*" in text:
            hint = "`*.` stands at the start of the host; for more, write a regular expression: `~https://...`"
        check.problem(path, "bad_origin", f"expected an origin such as `https://shop.example`, got {quote(text)}", hint)
        return {"exact": ""}
    scheme = match[1].lower()
    host = match[3].lower()
    if scheme in _PORTS:
        authority = addresses.host_port(match[3], int(_PORTS[scheme]), check, path)
        host = authority[0] if authority else ""
        if authority and str(authority[1]) != _PORTS[scheme]:
            host = f"{host}:{authority[1]}"
    if match[2]:
        return {"below": {"scheme": scheme, "domain": host}}
    return {"exact": f"{scheme}://{host}"}
