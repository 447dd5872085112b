"""The `store:` key: where consumers and keys are kept that are not in the document."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path as FilePath

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Duration, Text
from tidegate.errors import StoreError
from tidegate.store.url import DEFAULT_STORE, StoreUrl

SHORTEST_POLL = 50


class Store(Model):
    """The store of consumers and keys that `tidegate keys` writes, shared by all gateways that name it."""

    url: Text = Field(
        DEFAULT_STORE,
        description="`sqlite:///file.db`, relative to the document (`sqlite:////` absolute), or "
        "`postgresql://user@host/database`, which needs `pip install 'tidegate[postgres]'`. Passwords best come by "
        "`${env:NAME}`.",
    )
    poll: Duration = Field(
        250,
        description="Time between two looks for changes, each of one row. A revocation acts after at most this long "
        "and the time of an answer.",
    )


@dataclass(frozen=True)
class StoreSettings:
    """A store, resolved."""

    url: StoreUrl
    poll: float
    """Seconds."""


def resolve_store(store: Store | None, folder: FilePath, check: Check, path: Path) -> StoreSettings | None:
    """The store of a document; problems go to `check`."""
    if store is None:
        return None
    poll = int(store.poll)
    if poll < SHORTEST_POLL:
        check.problem((*path, "poll"), "bad_value", f"a poll is at least {SHORTEST_POLL}ms apart")
    try:
        if StoreUrl.parse(store.url, folder).kind == "postgresql" and find_spec("psycopg") is None:
            hint = "pip install 'tidegate[postgres]'"
            check.problem((*path, "url"), "not_installed", "a store in PostgreSQL needs psycopg", hint)
        return StoreSettings(StoreUrl.parse(store.url, folder), poll / 1000)
    except StoreError as error:
        message, _, hint = str(error).partition("\n  hint: ")
        check.problem((*path, "url"), "bad_url", message, hint or None)
        return None
