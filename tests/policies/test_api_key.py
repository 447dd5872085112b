"""`api_key`: callers are known by a key, and the service never sees it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tidegate._native import hash_password
from tidegate.store import Imported, KeyStore, StoreUrl, open_store
from tidegate.store import secret as form

from tests.echo import Answer, EchoGateway, Start, ask
from tests.harness import eventually

KEY = "an-old-key-of-some-length"
CONSUMERS: list[dict[str, Any]] = [
    {"name": "acme", "tier": "business", "tags": ["partner", "eu"], "keys": [f"sha256:{form.digest(KEY)}"]}
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    """A store that tests write to while gateways follow it."""
    opened = open_store(StoreUrl.parse("sqlite:///keys.db", tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def url(tmp_path: Path) -> dict[str, Any]:
    """The `store:` of a document."""
    return {"url": f"sqlite:///{tmp_path / 'keys.db'}", "poll": "50ms"}


def with_key(gateway: EchoGateway, key: str = KEY, target: str = "/") -> Answer:
    return ask(gateway, target=target, headers=[("X-Api-Key", key)])


def code(answer: Answer) -> str:
    return str(answer.json()["code"])


def test_the_service_learns_who_calls_and_never_sees_the_key(start: Start) -> None:
    echo = with_key(start({"api_key": {}}, consumers=CONSUMERS)).echo
    assert (echo.one("x-consumer-name"), echo.one("x-consumer-tier")) == ("acme", "business")
    assert "x-api-key" not in echo.names()
    assert KEY not in json.dumps(echo.fields)


def test_a_caller_without_a_key_is_asked_for_one(start: Start) -> None:
    answer = ask(start({"api_key": {"realm": "shop"}}, consumers=CONSUMERS))
    assert (answer.status, code(answer)) == (401, "missing_credentials")
    assert answer.one("www-authenticate") == 'ApiKey realm="shop"'


@pytest.mark.parametrize("key", ["wrong", KEY[:-1], KEY + "x", KEY.upper(), form.digest(KEY), "\xff" * 20, "x" * 5000])
def test_a_wrong_key_is_refused(start: Start, key: str) -> None:
    answer = with_key(start({"api_key": {}}, consumers=CONSUMERS), key)
    assert (answer.status, code(answer)) == (401, "invalid_credentials")
    assert "www-authenticate" in answer.names()
    assert key not in answer.body.decode("latin-1")


def test_two_keys_are_no_key(start: Start) -> None:
    gateway = start({"api_key": {}}, consumers=CONSUMERS)
    answer = ask(gateway, headers=[("X-Api-Key", KEY), ("x-api-key", "other")])
    assert (answer.status, code(answer)) == (401, "invalid_credentials")


def test_an_optional_key_lets_nobody_on_but_no_wrong_key(start: Start) -> None:
    gateway = start({"api_key": {"optional": True}}, consumers=CONSUMERS)
    assert "x-consumer-name" not in ask(gateway).echo.names()
    assert with_key(gateway).echo.one("x-consumer-name") == "acme"
    assert with_key(gateway, "wrong").status == 401


@pytest.mark.parametrize("name", ["X-Consumer-Name", "x_consumer_name", "X.Consumer.Name", "x-consumer_NAME"])
def test_a_client_cannot_say_who_it_is(start: Start, name: str) -> None:
    gateway = start({"api_key": {"optional": True}}, consumers=CONSUMERS)
    assert "mallory" not in ask(gateway, headers=[(name, "mallory")]).echo.values()
    assert "mallory" not in ask(gateway, headers=[(name, "mallory"), ("X-Api-Key", KEY)]).echo.values()


@pytest.mark.parametrize("name", ["x_customer", "X-Customer", "x.customer"])
def test_a_client_cannot_say_who_it_is_however_the_document_spells_the_header(start: Start, name: str) -> None:
    policy = {"optional": True, "consumer_to_headers": {"name": "x_customer"}}
    gateway = start({"api_key": policy}, consumers=CONSUMERS)
    assert "mallory" not in ask(gateway, headers=[(name, "mallory")]).echo.values()
    echo = ask(gateway, headers=[(name, "mallory"), ("X-Api-Key", KEY)]).echo
    assert echo.all("x_customer") == ["acme"]
    assert "mallory" not in echo.values()


def test_the_headers_can_be_chosen(start: Start) -> None:
    headers = {"name": "x-customer", "tags": "x-groups"}
    echo = with_key(start({"api_key": {"consumer_to_headers": headers}}, consumers=CONSUMERS)).echo
    assert (echo.one("x-customer"), echo.one("x-groups")) == ("acme", "partner,eu")
    assert "x-consumer-name" not in echo.names()


def test_a_key_or_a_password(start: Start) -> None:
    """`any_of`: whichever is good; the other is asked for only where nothing is."""
    user = {"username": "ann", "password_hash": hash_password("secret")}
    gateway = start({"any_of": {"api_key": {}, "basic": {}}}, consumers=[{**CONSUMERS[0], "basic": user}])
    password = ("Authorization", "Basic " + base64.b64encode(b"ann:secret").decode())
    for sent in ([("X-Api-Key", KEY)], [password], [("X-Api-Key", "wrong"), password], [("X-Api-Key", KEY), password]):
        echo = ask(gateway, headers=sent).echo
        assert echo.one("x-consumer-name") == "acme"
        assert {"authorization", "x-api-key"}.isdisjoint(echo.names())
    answer = ask(gateway)
    assert (answer.status, len(answer.all("www-authenticate"))) == (401, 2)
    assert with_key(gateway, "wrong").status == 401


# ---- where the key stands


def test_a_key_behind_a_scheme(start: Start) -> None:
    gateway = start({"api_key": {"header": "authorization", "scheme": "Bearer"}}, consumers=CONSUMERS)
    for scheme in ("Bearer", "bearer", "BEARER "):
        echo = ask(gateway, headers=[("Authorization", f"{scheme} {KEY}")]).echo
        assert echo.one("x-consumer-name") == "acme"
        assert "authorization" not in echo.names()
    for value in (KEY, f"Basic {KEY}", f"Bearer{KEY}", "Bearer"):
        assert code(ask(gateway, headers=[("Authorization", value)])) == "missing_credentials"


def test_another_scheme_stays_for_the_service(start: Start) -> None:
    policy = {"header": "authorization", "scheme": "Bearer", "query": "key"}
    gateway = start({"api_key": policy}, consumers=CONSUMERS)
    echo = ask(gateway, target=f"/a?key={KEY}", headers=[("Authorization", "Basic abc")]).echo
    assert echo.one("authorization") == "Basic abc"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("api_key={key}", ""),
        ("a=1&api_key={key}&b=%20", "?a=1&b=%20"),
        ("api%5Fkey={key}", ""),
        ("a=1&api_key={key}&api_key=", "?a=1"),
    ],
)
def test_a_key_in_the_query_does_not_go_on(start: Start, query: str, left: str) -> None:
    gateway = start({"api_key": {"query": "api_key"}}, consumers=CONSUMERS)
    echo = ask(gateway, target=f"/a?{query.format(key=KEY)}").echo
    assert echo.one("x-consumer-name") == "acme"
    assert echo.target == f"/a{left}"


def test_a_key_in_a_cookie_does_not_go_on_and_the_others_do(start: Start) -> None:
    gateway = start({"api_key": {"cookie": "key"}}, consumers=CONSUMERS)
    echo = ask(gateway, headers=[("Cookie", f"a=1; key={KEY}; b=2")]).echo
    assert echo.one("x-consumer-name") == "acme"
    assert echo.all("cookie") == ["a=1; b=2"]


def test_the_first_place_counts_and_all_are_cleared(start: Start) -> None:
    gateway = start({"api_key": {"header": "x-api-key", "query": "k", "cookie": "k"}}, consumers=CONSUMERS)
    sent = [("X-Api-Key", KEY), ("Cookie", "k=other")]
    echo = ask(gateway, target="/a?k=another", headers=sent).echo
    assert echo.target == "/a"
    assert {"x-api-key", "cookie"}.isdisjoint(echo.names())


def test_no_log_and_no_answer_shows_a_key(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    policy = {"header": "x-api-key", "query": "key", "cookie": "key"}
    gateway = start({"api_key": policy}, consumers=CONSUMERS, access_log={"file": str(log)})
    wrong = "tg_live_0123456789ABCDEFGHIJKLMNOPQRST000000"
    answers = [
        ask(gateway, target=f"/a?key={key}", headers=[("X-Api-Key", key), ("Cookie", f"key={key}")])
        for key in (KEY, wrong)
    ]
    answers += [ask(gateway, target=f"/nowhere-at-all?key={KEY}", headers=[("X-Api-Key", KEY)])]
    eventually(lambda: len(log.read_text().splitlines()) == 3, "the access log")
    for text in (
        log.read_text(),
        gateway.metrics()[1],
        *(str(answer.fields) for answer in answers),
        answers[1].body.decode(),
    ):
        assert KEY not in text
        assert wrong not in text
    assert "the checksum of the key is wrong" in log.read_text()


# ---- keys of the store


def test_a_key_of_the_store_is_known_and_a_revoked_one_is_not(
    start: Start, store: KeyStore, url: dict[str, Any]
) -> None:
    key, secret = store.create("zeta", name="ci", tier="free")
    gateway = start(
        {"api_key": {}, "request_headers": {"set": {"x-key": "{claims.key.id} {claims.key.name}"}}}, store=url
    )
    echo = with_key(gateway, secret).echo
    assert (echo.one("x-consumer-name"), echo.one("x-consumer-tier")) == ("zeta", "free")
    assert echo.one("x-key") == f"{key.id} ci"
    store.revoke([key.id])
    eventually(lambda: with_key(gateway, secret).status == 401, "the revocation")


def test_a_new_key_a_new_tier_and_a_rotation_act_without_a_reload(
    start: Start, store: KeyStore, url: dict[str, Any]
) -> None:
    gateway = start({"api_key": {}}, store=url)
    key, secret = store.create("zeta")
    assert eventually(lambda: with_key(gateway, secret).status == 200, "the new key")
    store.create("zeta", tier="gold")
    eventually(lambda: with_key(gateway, secret).echo.all("x-consumer-tier") == ["gold"], "the new tier")
    _, successor = store.rotate(key.id, overlap=3600)
    eventually(lambda: with_key(gateway, successor).status == 200, "the successor")
    assert with_key(gateway, secret).status == 200
    gateway.advance(3601)
    assert with_key(gateway, secret).status == 401
    assert with_key(gateway, successor).status == 200


def test_a_key_ends_by_itself(start: Start, store: KeyStore, url: dict[str, Any]) -> None:
    _, secret = store.create("zeta", expires=int(time.time()) + 600)
    gateway = start({"api_key": {}}, store=url)
    assert with_key(gateway, secret).status == 200
    gateway.advance(601)
    assert code(with_key(gateway, secret)) == "invalid_credentials"


def test_the_document_has_the_last_word_on_a_consumer_of_both(
    start: Start, store: KeyStore, url: dict[str, Any]
) -> None:
    _, secret = store.create("acme", tier="free")
    policies = {"request_headers": {"set": {"x-policy": "of the consumer"}}}
    gateway = start({"api_key": {}}, store=url, consumers=[{**CONSUMERS[0], "policies": policies}])
    for key in (secret, KEY):
        echo = with_key(gateway, key).echo
        assert (echo.one("x-consumer-tier"), echo.one("x-policy")) == ("business", "of the consumer")


def test_a_consumer_that_is_switched_off_has_no_keys_in_the_store_either(
    start: Start, store: KeyStore, url: dict[str, Any]
) -> None:
    _, secret = store.create("acme")
    gateway = start({"api_key": {}}, store=url, consumers=[{**CONSUMERS[0], "enabled": False}])
    assert [with_key(gateway, key).status for key in (secret, KEY)] == [401, 401]
    gateway.reload({"api_key": {}}, store=url, consumers=CONSUMERS)
    assert [with_key(gateway, key).status for key in (secret, KEY)] == [200, 200]


def test_keys_of_one_store_never_serve_for_another(
    start: Start, store: KeyStore, url: dict[str, Any], tmp_path: Path
) -> None:
    _, secret = store.create("acme")
    gateway = start({"api_key": {}}, store=url)
    assert with_key(gateway, secret).status == 200
    gateway.reload({"api_key": {}}, store={"url": f"sqlite:///{tmp_path / 'other.db'}"})
    assert with_key(gateway, secret).status == 401


def test_a_reload_that_drops_the_store_drops_its_keys(start: Start, store: KeyStore, url: dict[str, Any]) -> None:
    _, secret = store.create("zeta")
    gateway = start({"api_key": {}}, store=url)
    assert with_key(gateway, secret).status == 200
    gateway.reload({"api_key": {}})
    assert with_key(gateway, secret).status == 401
    gateway.reload({"api_key": {}}, store=url)
    assert with_key(gateway, secret).status == 200


def test_a_reload_changes_what_a_known_key_tells_the_service(
    start: Start, store: KeyStore, url: dict[str, Any]
) -> None:
    _, secret = store.create("zeta", tier="free")
    gateway = start({"api_key": {}}, store=url)
    assert with_key(gateway, secret).echo.one("x-consumer-tier") == "free"
    gateway.reload({"api_key": {"consumer_to_headers": {"tier": "x-plan"}}}, store=url)
    assert with_key(gateway, secret).echo.one("x-plan") == "free"
    gateway.reload({"api_key": {}}, store=url, consumers=[{"name": "zeta", "tier": "gold"}])
    assert with_key(gateway, secret).echo.one("x-consumer-tier") == "gold"


# ---- hostile


def test_stuffing_finds_nothing_and_leaves_nothing_behind(start: Start, store: KeyStore, url: dict[str, Any]) -> None:
    """A flood of distinct wrong keys: none is let in, none is remembered."""
    store.import_keys([Imported("zeta", form.digest(f"imported-key-{number:06}"), "...") for number in range(500)])
    gateway = start({"api_key": {}}, store=url)
    before = _resident()
    with gateway.connect() as client:
        reader = client.makefile("rb")
        for number in range(0, 4000, 50):
            keys = [f"guessed-key-{number + step:06}" if step % 2 else form.new_secret() for step in range(50)]
            client.sendall("".join(f"GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n\r\n" for key in keys).encode())
            for _ in keys:
                assert reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
                length = 0
                while (line := reader.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reader.read(length)
    assert _resident() - before < 32 << 20
    assert with_key(gateway, "imported-key-000499").status == 200


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
