"""Gateways follow a store: changes act within a second on all of them, and a store that is down takes nobody down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tidegate.store import Imported, KeyStore, StoreUrl, open_store
from tidegate.store import secret as form

from tests.conftest import StartGateway, StartProcess
from tests.harness import RunningGateway, eventually
from tests.store.postgres import Cluster

SECOND = 1.0


def document(url: StoreUrl, **keys: Any) -> dict[str, Any]:
    """A gateway that lets whoever has a key on, and says whose it is."""
    return {
        "store": {"url": url.text.replace("sqlite:///", "sqlite:///")},
        "routes": [{"name": "all", "paths": ["/"], "respond": {"body": "{consumer.name} {consumer.tier}"}}],
        "policies": {"api_key": {}},
        **keys,
    }


def ask(gateway: RunningGateway, key: str) -> tuple[int, str]:
    """Status, and the consumer or the code."""
    answer = gateway.get("/", headers={"x-api-key": key})
    return answer.status, answer.text if answer.status == 200 else answer.code


def within(condition: Callable[[], bool], seconds: float = SECOND) -> float:
    """Seconds until it holds; fails when they are more."""
    began = time.monotonic()
    eventually(condition)
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.2f} s"
    return took


def test_a_revocation_acts_within_a_second_on_every_gateway(
    url: StoreUrl, gateway: StartGateway, connect: Callable[[], KeyStore]
) -> None:
    store = connect()
    made = [store.create("acme") for _ in range(3)]
    gateways = [gateway(document(url), workers=2), gateway(document(url))]
    for key, secret in made:
        assert [ask(one, secret) for one in gateways] == [(200, "acme ")] * 2
        store.revoke([key.id])
        within(lambda secret=secret: all(ask(one, secret)[0] == 401 for one in gateways))  # type: ignore[misc]


def test_keys_are_loaded_before_the_gateway_is_ready(
    url: StoreUrl, gateway: StartGateway, connect: Callable[[], KeyStore]
) -> None:
    store = connect()
    store.import_keys([Imported("acme", form.digest(f"imported-key-{number}"), "...") for number in range(12_000)])
    running = gateway(document(url))
    assert [ask(running, f"imported-key-{number}")[0] for number in (0, 6000, 11_999)] == [200, 200, 200]
    assert ask(running, "imported-key-12000") == (401, "invalid_credentials")


def test_a_new_consumer_and_its_tier_arrive(
    url: StoreUrl, gateway: StartGateway, connect: Callable[[], KeyStore]
) -> None:
    running = gateway(document(url))
    store = connect()
    _, secret = store.create("acme", tier="gold")
    within(lambda: ask(running, secret) == (200, "acme gold"))


def test_what_was_deleted_by_hand_is_missed_once_a_minute(
    url: StoreUrl, gateway: StartGateway, connect: Callable[[], KeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = connect()
    key, secret = store.create("acme")
    _, other = store.create("acme")
    monkeypatch.setattr("tidegate.store.sync.RECOUNT", 0.1)
    running = gateway(document(url))
    assert ask(running, secret)[0] == 200
    store.database.run("DELETE FROM tidegate_keys WHERE id = ?", key.id)
    eventually(lambda: ask(running, secret)[0] == 401)
    assert ask(running, other)[0] == 200


# ---- a store that is down


def ready(gateway: RunningGateway) -> tuple[int, Any]:
    """What `/readyz` says of keys."""
    assert gateway.admin is not None
    import http.client

    host, port = gateway.admin.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    import json

    state = json.loads(answer.read())
    connection.close()
    return answer.status, state["keys"]


def metric(gateway: RunningGateway, name: str) -> float:
    """The value of a metric without labels."""
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[1])


ADMIN = {"admin": {"address": "127.0.0.1:0"}}


@pytest.fixture
def own_cluster() -> Any:
    """A server that a test may stop."""
    from tests.store.postgres import missing

    if (reason := missing()) is not None:
        pytest.skip(reason)
    running = Cluster()
    yield running
    running.stop()


@pytest.mark.parametrize("way", ["pause", "kill"])
def test_the_last_known_keys_serve_while_the_server_is_away(
    way: str, own_cluster: Cluster, gateway: StartGateway
) -> None:
    url = StoreUrl.parse(own_cluster.new_database(), Path())
    store = open_store(url)
    _, good = store.create("acme")
    gone, revoked = store.create("acme")
    running = gateway(document(url, **ADMIN))
    assert ready(running) == (200, {"state": "current", "store": url.shown})
    store.close()
    own_cluster.pause() if way == "pause" else own_cluster.kill()
    eventually(lambda: ready(running)[1]["state"] == "stale", "the notice")
    assert ready(running)[0] == 200
    assert (metric(running, "tidegate_key_store_up"), metric(running, "tidegate_keys")) == (0, 2)
    assert [ask(running, key)[0] for key in (good, revoked, "unknown-key-of-nobody")] == [200, 200, 401]
    own_cluster.resume() if way == "pause" else own_cluster.restart()
    store = open_store(url)
    store.revoke([gone.id])
    eventually(lambda: ask(running, revoked)[0] == 401, "the revocation")
    eventually(lambda: metric(running, "tidegate_key_store_up") == 1, "the good news")
    assert ready(running)[1]["state"] == "current"
    store.close()


def test_a_gateway_that_never_read_its_store_refuses_nobody_wrongly(tmp_path: Path, gateway: StartGateway) -> None:
    """It does not know whether a key is wrong: 503, and no traffic please; keys of the document are known."""
    known = "a-key-of-the-document"
    consumers = [{"name": "zeta", "keys": [f"sha256:{form.digest(known)}"]}]
    url = StoreUrl.parse("sqlite:////dev/null/keys.db", tmp_path)
    running = gateway(document(url, consumers=consumers, **ADMIN))
    assert ask(running, known) == (200, "zeta ")
    assert ask(running, form.new_secret()) == (503, "authentication_unavailable")
    status, state = ready(running)
    assert (status, state["state"]) == (503, "unknown")


def test_a_file_that_is_removed_is_missed_and_its_keys_serve_on(
    sqlite_url: StoreUrl, gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(sqlite_url)
    _, secret = store.create("acme")
    running = gateway(document(sqlite_url, **ADMIN))
    store.close()
    assert sqlite_url.path is not None
    for file in sqlite_url.path.parent.glob("keys.db*"):
        file.unlink()
    eventually(lambda: ready(running)[1]["state"] == "stale", "the notice")
    assert not sqlite_url.path.exists()
    assert ask(running, secret)[0] == 200
    assert [record.levelname for record in caplog.records if "key store unreachable" in record.message] == ["WARNING"]
    # Another store in its place is another store: what was known is forgotten.
    other = open_store(sqlite_url)
    _, new = other.create("zeta")
    eventually(lambda: ask(running, new) == (200, "zeta "), "the keys of the new file")
    assert ask(running, secret)[0] == 401
    other.close()


def test_a_backup_that_is_put_back_is_read_as_a_whole(
    url: StoreUrl, gateway: StartGateway, connect: Callable[[], KeyStore]
) -> None:
    store = connect()
    _, first = store.create("acme")
    late, second = store.create("acme")
    running = gateway(document(url))
    assert ask(running, second)[0] == 200
    with store.database.transaction():
        store.database.run("UPDATE tidegate_store SET change = 1")
        store.database.run("DELETE FROM tidegate_keys WHERE id = ?", late.id)
    eventually(lambda: ask(running, second)[0] == 401, "the earlier state")
    assert ask(running, first)[0] == 200


# ---- in processes of their own


def test_a_key_made_on_the_command_line_works_in_a_running_process(
    tmp_path: Path, process: StartProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tidegate.cli import main

    from tests.harness.gateway import ask as ask_address

    running = process(
        "listeners: [{address: 127.0.0.1:0}]\nadmin: off\nstore: {}\naccess_log: off\npolicies: {api_key: {}}\n"
        'routes: [{name: all, paths: [/], respond: {body: "{consumer.name}"}}]\n'
    )
    address = running.address()
    document = next(tmp_path.glob("process-*/gateway.yaml"))
    assert main(["keys", "create", "--document", str(document), "--consumer", "acme"]) == 0
    secret = capsys.readouterr().out.strip()

    def status(key: str) -> int:
        return ask_address(address, "GET", "/", headers={"x-api-key": key}).status

    within(lambda: status(secret) == 200)
    assert status(secret[:-1] + ("a" if secret[-1] != "a" else "b")) == 401
    assert main(["keys", "revoke", "--document", str(document), "--consumer", "acme"]) == 0
    within(lambda: status(secret) == 401)
    assert (document.parent / "tidegate.db").exists()
