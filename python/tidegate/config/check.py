"""Checks of meaning, shared by everything that turns a model into its part of the plan."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tidegate.config import paths, references
from tidegate.config.implied import Implied
from tidegate.config.problem import Finding, Interpolated, Path, did_you_mean, quote

if TYPE_CHECKING:
    from tidegate.config.files import Files

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name or method (RFC 9110 section 5.6.2)."""

_BARE_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_IN_TARGET = re.compile(r"[\x00-\x20\x7f\\]")

OWNED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Framing and hop-by-hop fields (RFC 9110 section 7.6.1), which the gateway builds itself."""


NEVER_OWNED = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "cookie",
        "date",
        "forwarded",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "origin",
        "proxy-authorization",
        "range",
        "traceparent",
        "tracestate",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)
"""Fields that requests need to be understood: taken from clients on every route, they would be missing everywhere."""


class Check:
    """Collects the problems of one part of the document, with paths relative to that part."""

    def __init__(
        self,
        captures: Collection[str] | None = None,
        *,
        anywhere: bool = False,
        scope: str = "gateway",
        files: Files | None = None,
    ) -> None:
        """`captures`: what all paths of a route capture; `None`: no route. `anywhere`: any may be used, see `used`.

        `scope`: whose policies these are: `gateway`, `service/NAME`, `route/NAME` or `consumer/NAME`. What policies
        count, they count by it. `files`: the files it may name; `None`: it names none.
        """
        self.scope = scope
        self._files = files
        self.implied = Implied()
        """What policies need beside themselves."""
        self.captures = captures
        self.paths: list[str] = []
        """Of a route, as they are written."""
        self.anywhere = anywhere
        self.findings: list[Finding] = []
        self.networks: dict[str, str] = {}
        """Lists of networks by the name they have in the plan."""
        self.used: dict[str, Path] = {}
        """Captures that were referred to, and where."""
        self.handlers: list[tuple[Any, Path, frozenset[str] | None]] = []
        """Functions that this part names, where, and what is captured for those that answer a route."""

    @property
    def files(self) -> Files:
        """Reads the files that this part of the document names."""
        assert self._files is not None, "who plans policies gives their files"
        return self._files

    def problem(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Notes a problem."""
        self.findings.append(Finding(path, f"config.{code}", message, hint))

    def template(self, text: str, path: Path, *, header: bool = False, target: bool = False) -> list[references.Part]:
        """The parts of a text with references."""
        secret = isinstance(text, Interpolated)
        source = text.escaped if isinstance(text, Interpolated) else text
        if target and not source.isascii():  # as clients write it
            source = "".join(sign if sign.isascii() else paths.escaped(sign) for sign in source)
        parsed = references.parse(source)
        for message, hint in parsed.problems:
            shown = f"{quote(text)} does not make a text with references" if secret else message
            self.problem(path, "bad_reference", shown, None if secret else hint)
        if header and _BARE_CONTROL.search(text):
            self.problem(path, "bad_value", "a header value has no line breaks or control characters")
        if target and _NOT_IN_TARGET.search(text):
            self.problem(
                path,
                "bad_path",
                "a path has no spaces, backslashes or control characters",
                "write them percent-encoded: `%20`",
            )
        for name in parsed.captures:
            self.used.setdefault(name, path)
            if not self.anywhere:
                self.capture(name, path)
        return list(parsed.parts)

    def capture(self, name: str, path: Path) -> None:
        """Notes a problem unless every path of the route captures `name`."""
        if self.captures is None:
            self.problem(path, "bad_reference", f"`{{path.{name}}}` can only be used by a route or its service")
        elif name not in self.captures:
            hint = did_you_mean(name, self.captures)
            if hint is None:
                hint = f"capture it in every path of the route, as in `/orders/{{{name}}}`"
            self.problem(path, "bad_reference", f"not every path of this route captures `{name}`", hint)

    def header_value(self, text: str, path: Path) -> str:
        """The value of a header as it is, without references."""
        if not text.strip():
            self.problem(path, "bad_value", "the value is empty", "write `off` for no header")
        if _BARE_CONTROL.search(text):
            self.problem(path, "bad_value", "a header value has no line breaks or control characters")
        return text

    def owned_header(self, name: str, path: Path) -> str:
        """The lower-case name of a header that the gateway is to own: what clients send under it is taken out."""
        lower = self.header(name, path)
        if lower.replace("_", "-").replace(".", "-") in NEVER_OWNED:
            message = f"{quote(name)} cannot be owned: it would be taken from all clients, on every route"
            self.problem(path, "bad_header", message, "use a name of your own, such as `x-user-id`")
        return lower

    def header(self, name: str, path: Path, *, edit: bool = True) -> str:
        """A header name in lower case; with `edit`, one that people may change."""
        lower = name.lower()
        if not TOKEN.fullmatch(name):
            hint = (
                f"write `{name.strip().rstrip(':').strip()}`"
                if TOKEN.fullmatch(name.strip().rstrip(":").strip())
                else None
            )
            self.problem(path, "bad_header", f"{quote(name)} is not a header name", hint)
        elif edit and lower in OWNED_HEADERS:
            self.problem(
                path, "bad_header", f"`{lower}` belongs to the gateway, which builds it itself for every message"
            )
        elif edit and lower == "host":
            self.problem(
                path,
                "bad_header",
                "`host` is not edited as a header",
                "use `preserve_host` on the route or `host` on the service",
            )
        return lower
