"""Where a store is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from tidegate.errors import StoreError

DEFAULT_STORE = "sqlite:///tidegate.db"
"""A file beside the document, or in the current folder."""

KNOWN = "write `sqlite:///file.db`, `sqlite:////absolute/file.db` or `postgresql://user@host/database`"


@dataclass(frozen=True)
class StoreUrl:
    """A store's place, taken apart."""

    kind: Literal["sqlite", "postgresql"]
    text: str
    """The whole URL, with its password; a file name is absolute."""
    path: Path | None
    """The file of SQLite."""
    shown: str
    """Without the password."""

    @classmethod
    def parse(cls, text: str, folder: Path) -> StoreUrl:
        """Takes a URL apart; relative names of files start at `folder`. Raises `StoreError`."""
        scheme, colon, rest = text.partition(":")
        if colon and scheme == "sqlite":
            return cls._sqlite(rest, folder)
        if colon and scheme in ("postgresql", "postgres"):
            return cls._postgresql(text)
        raise StoreError(f"expected the URL of a store\n  hint: {KNOWN}")

    @classmethod
    def _sqlite(cls, rest: str, folder: Path) -> StoreUrl:
        name = unquote(rest.removeprefix("///"))
        if not rest.startswith("///") or not name or "\0" in name or name.startswith(":memory:"):
            raise StoreError(f"expected the name of a file after `sqlite:///`\n  hint: {KNOWN}")
        path = (folder / name).absolute()
        return cls("sqlite", f"sqlite:///{path}", path, f"sqlite:///{path}")

    @classmethod
    def _postgresql(cls, text: str) -> StoreUrl:
        try:
            parts = urlsplit(text)
            parts.port  # noqa: B018  (it is checked when it is read)
        except ValueError:
            # The text may hold a password, so it is not repeated.
            raise StoreError(f"the URL of the store is not well formed\n  hint: {KNOWN}") from None
        user, at, host = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}{at}{host}"
        # Parameters may hold a password too; they are of no use to whoever reads a message.
        return cls("postgresql", text, None, urlunsplit((parts.scheme, netloc, parts.path, "", "")))
