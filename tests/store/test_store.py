"""A store keeps consumers and the hashes of their keys, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from tidegate.errors import StoreError
from tidegate.store import Imported, KeyStore, StoreUrl, open_store
from tidegate.store import secret as form
from tidegate.store.keys import Cursor
from tidegate.store.opening import connect as connect_database
from tidegate.store.schema import MIGRATIONS, bring_up

from tests.store.conftest import Now, Open

DAY = 86_400


def everything(store: KeyStore, after: int = -1, limit: int = 5000) -> list[tuple[object, ...]]:
    """What a gateway would read: id, consumer, tier, tags, expiry, revoked."""
    out: list[tuple[object, ...]] = []
    cursor: Cursor | None = Cursor.after(after)
    while cursor is not None:
        entries, cursor = store.changed(cursor, limit)
        out += [
            (key_id, consumer, tier, tags, expires, gone)
            for _, key_id, _, consumer, tier, tags, expires, gone in entries
        ]
    return out


def test_a_key_is_shown_once_and_its_hash_kept(store: KeyStore, now: Now) -> None:
    key, secret = store.create("acme", name="ci", tier="gold", tags=["a", "b"])
    entries, _ = store.changed(Cursor.after(-1))
    assert entries == [(form.digest(secret), key.id, "ci", "acme", "gold", ["a", "b"], None, False)]
    assert store.find(secret) == key
    assert (key.hint, key.state(now())) == (secret[:12] + "...", "active")


def test_no_table_holds_a_key(tmp_path: Path, sqlite_url: StoreUrl) -> None:
    store = open_store(sqlite_url)
    _, secret = store.create("acme")
    store.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert secret[-20:].encode() not in file.read_bytes()


def test_the_file_belongs_to_its_owner_only(tmp_path: Path, sqlite_url: StoreUrl) -> None:
    store = open_store(sqlite_url)
    store.create("acme")
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    store.close()


def test_an_expired_key_is_over(store: KeyStore, now: Now) -> None:
    key, _ = store.create("acme", expires=int(now()) + 10)
    assert key.state(now()) == "active"
    now.seconds += 10
    assert key.state(now()) == "expired"


def test_rotation_lets_both_keys_live_for_the_overlap(store: KeyStore, now: Now) -> None:
    old, _ = store.create("acme", name="ci", prefix="tg_test", expires=int(now()) + 30 * DAY)
    now.seconds += DAY
    new, secret = store.rotate(old.id, overlap=3600)
    assert secret.startswith("tg_test_")
    assert (new.consumer, new.name, new.expires) == ("acme", "ci", int(now()) + 30 * DAY)
    ended = store.key(old.id)
    assert (ended.expires, ended.replaced_by) == (int(now()) + 3600, new.id)


def test_rotation_never_makes_a_key_live_longer(store: KeyStore, now: Now) -> None:
    old, _ = store.create("acme", expires=int(now()) + 60)
    store.rotate(old.id, overlap=DAY)
    assert store.key(old.id).expires == int(now()) + 60


def test_only_an_active_key_is_rotated_and_only_once(store: KeyStore, now: Now) -> None:
    rotated, _ = store.create("acme")
    store.rotate(rotated.id, overlap=DAY)
    revoked, _ = store.create("acme")
    store.revoke([revoked.id])
    expired, _ = store.create("acme", expires=int(now()))
    for key, said in [(rotated, "rotated already"), (revoked, "is revoked"), (expired, "is expired")]:
        with pytest.raises(StoreError, match=said):
            store.rotate(key.id, overlap=DAY)
    assert len(store.list_keys()) == 4


def test_a_revoked_key_stays_revoked_since_the_first_time(store: KeyStore, now: Now) -> None:
    key, _ = store.create("acme")
    store.revoke([key.id])
    now.seconds += 100
    [again] = store.revoke([key.id])
    assert again.revoked == int(now()) - 100


def test_an_unknown_key_revokes_none_of_the_others(store: KeyStore) -> None:
    key, _ = store.create("acme")
    with pytest.raises(StoreError, match="no key `nobody`"):
        store.revoke([key.id, "nobody"])
    assert store.key(key.id).revoked is None


def test_an_import_takes_all_or_nothing_and_knows_what_it_has(store: KeyStore) -> None:
    keys = [Imported("acme", form.digest(f"key-{number}"), "...") for number in range(3)]
    assert store.import_keys(keys) == 3
    assert store.import_keys([*keys, Imported("zeta", form.digest("new"), "...", tier="free")]) == 1
    with pytest.raises(StoreError):
        store.import_keys([Imported("acme", form.digest("other"), "..."), Imported("\n", form.digest("more"), "...")])
    assert [(key.consumer, key.hint) for key in store.list_keys()] == [("acme", "...")] * 3 + [("zeta", "...")]


# ---- what gateways read


def test_only_what_changed_is_read_again(store: KeyStore) -> None:
    first, _ = store.create("acme")
    mark = store.mark()
    assert everything(store, mark.change) == []
    second, _ = store.create("acme")
    store.revoke([first.id])
    assert sorted(everything(store, mark.change)) == sorted(
        [(first.id, "acme", None, [], None, True), (second.id, "acme", None, [], None, False)]
    )
    assert store.mark().change == mark.change + 2


def test_a_new_tier_of_a_consumer_changes_all_its_keys(store: KeyStore) -> None:
    keys = {store.create("acme")[0].id for _ in range(3)}
    store.create("zeta")
    mark = store.mark()
    keys.add(store.create("acme", tier="gold")[0].id)
    changed = everything(store, mark.change)
    assert {row[0] for row in changed} == keys
    assert {row[2] for row in changed} == {"gold"}


def test_pages_miss_nothing_and_repeat_nothing(store: KeyStore) -> None:
    store.import_keys([Imported("acme", form.digest(str(number)), "...") for number in range(23)])
    for _ in range(4):
        store.create("zeta")
    for limit in (1, 4, 9, 23, 27, 100):
        ids = [row[0] for row in everything(store, limit=limit)]
        assert len(ids) == len(set(ids)) == 27, limit


def test_changes_of_two_writers_never_become_visible_out_of_order(connect: Open) -> None:
    """A reader that saw change n has everything up to n: the second writer waits for the first one's end."""
    one, other, reader = connect(), connect(), connect()
    begun, seen = threading.Event(), []
    with one.database.transaction():
        one.database.run("UPDATE tidegate_store SET change = change + 1")

        def write() -> None:
            begun.set()
            other.create("zeta")

        writer = threading.Thread(target=write)
        writer.start()
        begun.wait()
        seen.append(reader.mark().change)
        one.database.run("INSERT INTO tidegate_consumers VALUES ('acme', NULL, '[]')")
        one.database.run(
            "INSERT INTO tidegate_keys VALUES ('a', '" + "ab" * 32 + "', '...', 'acme', '', 0, NULL, NULL, NULL, 1)"
        )
    writer.join()
    seen.append(reader.mark().change)
    assert seen == [0, 2]
    assert [row[1] for row in everything(reader)] == ["acme", "zeta"]


def test_a_row_that_was_spoilt_by_hand_holds_up_no_other(store: KeyStore) -> None:
    spoilt, _ = store.create("acme", expires=1_900_000_000)
    good, _ = store.create("zeta")
    for change in ("expires = -5", "hash = 'none'"):
        store.database.run(f"UPDATE tidegate_keys SET {change} WHERE id = ?", spoilt.id)
    store.database.run("UPDATE tidegate_consumers SET tags = 'none' WHERE name = 'zeta'")
    assert everything(store) == [(good.id, "zeta", None, [], None, False)]


# ---- versions and faults


def test_two_that_find_it_empty_make_its_tables_once(url: StoreUrl) -> None:
    opened: list[KeyStore] = []
    threads = [threading.Thread(target=lambda: opened.append(open_store(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.mark().identity for store in opened}) == 1
    assert len(opened) == 4
    for store in opened:
        store.close()


def test_an_older_store_is_brought_up_and_keeps_its_keys(url: StoreUrl, now: Now) -> None:
    store = open_store(url, now=now)
    key, _ = store.create("acme")
    later = (*MIGRATIONS, ("ALTER TABLE tidegate_keys ADD COLUMN note TEXT",))
    bring_up(store.database, later)
    bring_up(store.database, later)
    assert store.database.run("SELECT version FROM tidegate_store") == [(len(MIGRATIONS) + 1,)]
    assert store.key(key.id) == key
    store.close()
    with pytest.raises(StoreError, match="made by a later version of Tidegate"):
        open_store(url)


def test_a_file_that_is_no_database_is_told_so(sqlite_url: StoreUrl) -> None:
    assert sqlite_url.path is not None
    sqlite_url.path.write_bytes(b"not a database, but long enough to look like something" * 40)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(sqlite_url)


def test_a_file_is_not_made_by_those_who_only_read(sqlite_url: StoreUrl) -> None:
    with pytest.raises(StoreError, match="no such file"):
        connect_database(sqlite_url, create=False)
    assert sqlite_url.path is not None
    assert not sqlite_url.path.exists()


def test_a_locked_file_is_told_in_time(sqlite_url: StoreUrl) -> None:
    store = open_store(sqlite_url)
    other = sqlite3.connect(str(sqlite_url.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.create("acme")
    other.execute("ROLLBACK")
    store.create("acme")
    other.close()
    store.close()


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\x00", "x" * 129])
def test_a_consumer_has_a_name_that_can_stand_in_a_header(store: KeyStore, name: str) -> None:
    with pytest.raises(StoreError):
        store.create(name)
    assert store.list_keys() == []


# ---- URLs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys.db",
        "mysql://host/db",
        "sqlite:",
        "sqlite:///",
        "sqlite://keys.db",
        "sqlite:///:memory:",
        "sqlite:///a%00b",
        "postgresql://[::1/db",
        "postgresql://host:port/db",
    ],
)
def test_a_url_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        StoreUrl.parse(text, tmp_path)


def test_urls_that_are_some(tmp_path: Path) -> None:
    assert StoreUrl.parse("sqlite:///a/b.db", tmp_path).path == tmp_path / "a/b.db"
    assert StoreUrl.parse("sqlite:////a/b.db", tmp_path).path == Path("/a/b.db")
    url = StoreUrl.parse("postgresql://ann:hush@db.example:5433/keys?password=hush&sslmode=require", tmp_path)
    assert url.shown == "postgresql://ann@db.example:5433/keys"


@pytest.mark.parametrize(
    "text", ["postgresql://ann:hush@127.0.0.1:1/keys", "postgresql://ann:hush@host/keys?what=hush"]
)
def test_a_password_is_never_shown(text: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(StoreUrl.parse(text, Path()))
    shown: BaseException | None = caught.value
    assert "hush" not in str(shown)
