"""Stores for tests: SQLite in a folder of the test's, and a PostgreSQL server that the tests start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tidegate.store import KeyStore, StoreUrl, open_store

from tests.store.postgres import Cluster, missing


class Now:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of the tests' own, on a UNIX socket."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    running = Cluster()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def postgres_url(cluster: Cluster) -> StoreUrl:
    """An empty database."""
    return StoreUrl.parse(cluster.new_database(), Path())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> StoreUrl:
    """A file that is not there yet."""
    return StoreUrl.parse("sqlite:///keys.db", tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> StoreUrl:
    """A store of either kind, empty."""
    found: StoreUrl = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def now() -> Now:
    """The time of the stores."""
    return Now()


Open = Callable[[], KeyStore]


@pytest.fixture
def connect(url: StoreUrl, now: Now) -> Iterator[Open]:
    """Opens connections to one store of either kind: `connect()`."""
    opened: list[KeyStore] = []

    def begin() -> KeyStore:
        opened.append(open_store(url, now=now))
        return opened[-1]

    yield begin
    for store in opened:
        store.close()


@pytest.fixture
def store(connect: Open) -> KeyStore:
    """A store of either kind."""
    return connect()


@pytest.fixture(autouse=True)
def no_store_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test touches what lies in the folder it is run from."""
    monkeypatch.delenv("TIDEGATE_STORE", raising=False)
    assert os.getcwd() != str(tmp_path)
