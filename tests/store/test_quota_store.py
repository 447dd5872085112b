"""Quotas in a store of either kind: what was used goes on after a restart, and is added up over gateways."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tidegate.serve.quotas import QuotaBook
from tidegate.store import StoreUrl
from tidegate.store.usage import Use

from tests.conftest import StartGateway, StartProcess
from tests.harness import RunningGateway, eventually
from tests.harness.gateway import ask as ask_at
from tests.store.conftest import Now
from tests.store.postgres import Cluster

KEY = "0" * 31 + "1"


def document(url: StoreUrl, limit: str = "10/month", **quota: Any) -> dict[str, Any]:
    return {
        "store": {"url": url.text},
        "routes": [{"name": "all", "paths": ["/"], "respond": {"body": "ok"}}],
        "policies": {"quota": {"limit": limit, "key": "{header.x-user}", "usage_path": "/usage", **quota}},
    }


def ask(one: RunningGateway, user: str = "ann") -> int:
    return one.get("/", headers={"x-user": user}).status


def used(one: RunningGateway, user: str = "ann") -> int:
    return int(one.get("/usage", headers={"x-user": user}).json()["quotas"][0]["used"])


class Counts:
    """The engine's side, by hand."""

    def __init__(self) -> None:
        self.added: list[Use] = []
        self.totals: dict[str, int] = {}
        self.came: list[bool] = []
        self.swept = 0
        self.counts = True

    def counts_quotas(self) -> bool:
        return self.counts

    def take_quota_changes(self) -> list[Use]:
        added, self.added = self.added, []
        return added

    def put_back_quota_changes(self, changes: list[Use]) -> None:
        self.added = [*changes, *self.added]

    def settle_quotas(self, totals: list[Use]) -> None:
        self.totals.update({key: used for key, _, _, used in totals})

    def quota_totals_came(self, known: bool) -> None:
        self.came.append(known)

    def sweep_quotas(self) -> None:
        self.swept += 1


def read(url: StoreUrl, now: Callable[[], float]) -> Counts:
    """What a gateway that starts now gets to know."""
    side = Counts()
    book = QuotaBook(url, side, now)
    book.turn()
    book.close()
    return side


def test_the_first_request_after_a_restart_knows_what_was_used(url: StoreUrl, gateway: StartGateway) -> None:
    one = gateway(document(url, "3/month"))
    assert [ask(one) for _ in range(2)] == [200, 200]
    one.stop()
    again = gateway(document(url, "3/month"))
    assert [ask(again) for _ in range(2)] == [200, 429]


def test_requests_that_come_before_the_store_was_read_wait_for_it(
    url: StoreUrl, gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = gateway(document(url, "3/month"))
    assert [ask(one) for _ in range(3)] == [200] * 3
    one.stop()
    opened, go_on = QuotaBook._open, threading.Event()

    def late(book: QuotaBook) -> Any:
        assert go_on.wait(20)
        return opened(book)

    monkeypatch.setattr(QuotaBook, "_open", late)
    monkeypatch.setattr("tidegate.serve.server.FIRST_QUOTAS_SECONDS", 0.0)
    again = gateway({**document(url, "3/month", on_store_failure="deny"), "admin": {"address": "127.0.0.1:0"}})
    assert again.admin is not None
    host, port = again.admin.url.removeprefix("http://").split(":")
    ready = ask_at((host, int(port)), "GET", "/readyz")
    assert ready.status == 503
    assert ready.json()["reason"] == "the quotas of the store have not been read"
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask, again) for _ in range(2)]
        time.sleep(0.2)  # nothing says that a request waits
        assert not any(one.done() for one in asked)
        go_on.set()
        assert [one.result() for one in asked] == [429, 429]
    assert ask_at((host, int(port)), "GET", "/readyz").status == 200


@pytest.mark.parametrize(
    ("mode", "expected"), [("deny", [503, 503]), ("allow", [200, 200]), ("local_share", [200, 429])]
)
def test_a_store_that_cannot_be_read_is_not_waited_for(
    gateway: StartGateway, tmp_path: Path, mode: str, expected: list[int]
) -> None:
    nobody = StoreUrl.parse(f"postgresql://tidegate@/none?host={tmp_path}", tmp_path)
    one = gateway(document(nobody, "1/month", on_store_failure=mode))
    began = time.monotonic()
    assert [ask(one) for _ in range(2)] == expected
    assert time.monotonic() - began < 2
    # What was used is not guessed.
    assert one.get("/usage", headers={"x-user": "ann"}).status == 503


def test_a_quota_that_comes_with_a_reload_knows_what_was_used(url: StoreUrl, gateway: StartGateway) -> None:
    plan = document(url, "3/month")
    one = gateway(plan)
    assert [ask(one) for _ in range(2)] == [200, 200]
    one.stop()
    again = gateway({key: value for key, value in plan.items() if key != "policies"})
    assert ask(again) == 200
    again.reload(plan)
    assert [ask(again) for _ in range(2)] == [200, 429]


def test_a_store_that_comes_with_a_reload_is_read_before_the_next_request(
    url: StoreUrl, gateway: StartGateway, tmp_path: Path
) -> None:
    one = gateway(document(url, "2/month"))
    assert [ask(one) for _ in range(2)] == [200, 200]
    one.stop()
    other = StoreUrl.parse("sqlite:///other.db", tmp_path)
    again = gateway(document(other, "2/month"))
    assert ask(again, "bob") == 200
    again.reload(document(url, "2/month"))
    assert [ask(again), ask(again, "bob"), ask(again, "bob")] == [429, 200, 429]


def test_gateways_add_up_in_postgresql(gateway: StartGateway, postgres_url: StoreUrl) -> None:
    gateways = [gateway(document(postgres_url, "40/month")) for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(lambda number: ask(gateways[number % 2]), range(20))} == {200}

    def stored() -> int:
        return sum(read(postgres_url, time.time).totals.values())

    eventually(lambda: stored() == 20, "what both have used")
    # Each learns of the other's use when it writes its own.
    for one in gateways:
        assert ask(one) == 200

    def learned() -> bool:
        return all(used(one) >= 21 for one in gateways)

    eventually(learned, "the other's use")
    with ThreadPoolExecutor(4) as threads:
        statuses = [*threads.map(lambda number: ask(gateways[number % 2]), range(40))]
    # Nobody goes beyond the limit by what it knows; exceeded by no more than what the other admits in about a second.
    assert 17 <= statuses.count(200) <= 2 * 19
    for one in gateways:
        one.stop()
    again = gateway(document(postgres_url, "40/month"))
    assert used(again) == 22 + statuses.count(200)
    assert ask(again) == 429


def test_a_crash_loses_no_more_than_the_last_second_in_postgresql(
    process: StartProcess, postgres_url: StoreUrl
) -> None:
    text = json.dumps(
        {**document(postgres_url, "100/month"), "listeners": [{"address": "127.0.0.1:0"}], "access_log": "off"}
        | {"admin": "off"}
    )
    first = process(text)
    for _ in range(5):
        assert first.get("/").status == 200
    time.sleep(2.5)  # the bound that the page states is a matter of time
    first.process.kill()
    second = process(text)
    second.listening()
    assert second.get("/usage").json()["quotas"][0]["used"] == 5


def test_while_postgresql_is_gone_counting_goes_on_and_is_written_later(
    gateway: StartGateway, cluster: Cluster, postgres_url: StoreUrl
) -> None:
    one = gateway(document(postgres_url, "5/month"))
    assert one.server.quotas is not None
    book = one.server.quotas
    assert [ask(one) for _ in range(2)] == [200, 200]
    cluster.kill()
    try:
        eventually(lambda: ask(one, "bob") and book.fault is not None, "a failed write")
        assert [ask(one) for _ in range(4)] == [200, 200, 200, 429]
    finally:
        cluster.restart()
    eventually(lambda: book.fault is None, "a write")
    one.stop()
    again = gateway(document(postgres_url, "5/month"))
    assert (used(again), ask(again)) == (5, 429)


def test_books_that_write_at_once_lose_nothing(url: StoreUrl, now: Now) -> None:
    period = (int(now()), int(now()) + 3600)
    sides = [Counts() for _ in range(1 if url.path is not None else 4)]
    books = [QuotaBook(url, side, now) for side in sides]

    def write(pair: tuple[QuotaBook, Counts]) -> None:
        book, side = pair
        for _ in range(10):
            # In another order each time: rows that wait for each other would be a deadlock.
            numbers = list(range(20)) if id(side) % 2 else list(range(19, -1, -1))
            side.added += [(f"{number:032x}", *period, 1) for number in numbers]
            book.turn()

    with ThreadPoolExecutor(len(books)) as threads:
        list(threads.map(write, zip(books, sides, strict=True)))
    for book in books:
        assert book.fault is None
        book.close()
    reader = read(url, now)
    assert reader.totals == {f"{number:032x}": 10 * len(books) for number in range(20)}
    assert reader.came == [True]


def test_what_is_over_is_not_read_and_memory_is_swept_whatever_the_store_does(url: StoreUrl, now: Now) -> None:
    side = Counts()
    side.added = [(KEY, int(now()), int(now()) + 60, 5)]
    book = QuotaBook(url, side, now)
    book.turn()
    book.close()
    now.seconds += 61
    assert read(url, now).totals == {}
    nobody = Counts()
    broken = QuotaBook(StoreUrl.parse("postgresql://tidegate@/none?host=/nowhere", Path()), nobody, now)
    idle = Counts()
    idle.counts = False
    for one in (broken, QuotaBook(url, idle, now)):
        for _ in range(3):
            one.turn()
            now.seconds += 61
    assert (nobody.swept, idle.swept) == (3, 3)
    assert nobody.came == [False] * 3
