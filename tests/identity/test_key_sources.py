"""Keys of an issuer: fetched before they are needed, once for all who need them, gone when the issuer lets them go."""

from __future__ import annotations

import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trustme

from tests.echo import Answer, EchoGateway, Start, ask
from tests.harness import Raw, eventually
from tests.identity.issuer import Issuer, claims, encode, private_key, public_jwk, token


def remote(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    return {"jwt": {"algorithms": ["RS256"], "jwks": issuer.jwks, **changes}}


def get(gateway: EchoGateway, text: str) -> Answer:
    return ask(gateway, headers=[("Authorization", f"Bearer {text}")])


def code(answer: Answer) -> str:
    return "" if answer.status == 200 else str(answer.json()["code"])


def key(number: int) -> dict[str, Any]:
    return public_jwk("RS256", private_key("RS256", number), f"k{number + 1}")


def of(number: int, **changes: Any) -> str:
    """A token of the key with that number."""
    return token(claims(**changes), kid=f"k{number + 1}", key=private_key("RS256", number))


def fetched_again(issuer: Issuer) -> None:
    """Waits for a fetch that began from now on."""
    before = issuer.asked["/jwks.json"]
    eventually(lambda: issuer.asked["/jwks.json"] >= before + 2)


def missing(gateway: EchoGateway) -> list[str]:
    return gateway.server.keys_missing()


def test_a_request_that_comes_before_the_keys_waits_for_them(start: Start, issuer: Issuer) -> None:
    issuer.hold.clear()
    gateway = start(remote(issuer))
    assert missing(gateway) == [issuer.jwks]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(get, gateway, of(0))
        eventually(lambda: issuer.asked["/jwks.json"] == 1)
        issuer.hold.set()
        assert waiting.result().status == 200
    assert missing(gateway) == []


def test_discovery_asks_the_issuer_where_its_keys_are(start: Start, issuer: Issuer) -> None:
    gateway = start({"jwt": {"algorithms": ["RS256"], "issuer": issuer.url}})
    assert get(gateway, of(0, iss=issuer.url)).status == 200
    assert code(get(gateway, of(0, iss="https://other.test"))) == "invalid_token"


def test_a_discovery_document_of_another_issuer_is_not_believed(start: Start, issuer: Issuer) -> None:
    document = json.dumps({"issuer": "https://other.test", "jwks_uri": issuer.jwks}).encode()
    issuer.answers["/.well-known/openid-configuration"] = 200, {}, document
    gateway = start({"jwt": {"algorithms": ["RS256"], "issuer": issuer.url}})
    assert code(get(gateway, of(0, iss=issuer.url))) == "authentication_unavailable"
    assert issuer.asked["/jwks.json"] == 0


# Either of them ended the task that fetches, for as long as the process lived.
@pytest.mark.parametrize("document", [b"[" * 500_000, {"jwks_uri": "https://["}])
def test_a_discovery_document_that_is_junk_is_read_again_once_it_is_mended(
    start: Start, issuer: Issuer, document: Any
) -> None:
    path = "/.well-known/openid-configuration"
    junk = document if isinstance(document, bytes) else json.dumps({"issuer": issuer.url, **document}).encode()
    issuer.answers[path] = 200, {}, junk
    gateway = start({"jwt": {"algorithms": ["RS256"], "issuer": issuer.url, "cool_down": "100ms"}})
    assert code(get(gateway, of(0, iss=issuer.url))) == "authentication_unavailable"
    del issuer.answers[path]
    eventually(lambda: get(gateway, of(0, iss=issuer.url)).status == 200)


def test_lazy_keys_are_fetched_with_the_first_token(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer, on_start="lazy"))
    assert missing(gateway) == []
    assert code(ask(gateway)) == "missing_token"
    assert issuer.asked["/jwks.json"] == 0
    assert get(gateway, of(0)).status == 200


def test_a_new_key_is_found_with_its_first_token(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer))
    assert get(gateway, of(0)).status == 200
    issuer.keys.append(key(1))
    assert get(gateway, of(1)).status == 200
    assert issuer.asked["/jwks.json"] == 2


def test_a_flood_of_unknown_keys_is_one_fetch_for_each_cool_down(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer, cool_down="30s"), workers=2)
    assert get(gateway, of(0)).status == 200

    def flood(count: int) -> None:
        texts = [token(claims(), kid=f"unknown-{number}") for number in range(count)]
        with ThreadPoolExecutor(8) as pool:
            codes = {code(answer) for answer in pool.map(lambda text: get(gateway, text), texts)}
        assert codes == {"invalid_token"}

    flood(100)
    assert issuer.asked["/jwks.json"] == 2
    assert get(gateway, of(0)).status == 200
    gateway.advance(31)
    flood(20)
    assert issuer.asked["/jwks.json"] == 3


def test_ten_thousand_unknown_keys_are_one_fetch_too(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer, cool_down="600s"), workers=2)
    assert get(gateway, of(0)).status == 200

    address = next(iter(gateway.server.addresses().values()))
    assert address is not None, "it listens on a port"

    def flood(connection: int) -> int:
        refused = 0
        with Raw(address, 60) as client:
            for batch in range(25):
                for number in range(100):
                    head = encode({"alg": "RS256", "kid": f"{connection}-{batch}-{number}"})
                    forged = f"{head}.{encode(claims())}.{encode(bytes(256))}"
                    client.send(f"GET / HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {forged}\r\n\r\n")
                refused += [client.read_answer()[0] for _ in range(100)].count(401)
        return refused

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(flood, range(4))) == 10_000
    assert issuer.asked["/jwks.json"] == 2
    assert get(gateway, of(0)).status == 200


def test_a_token_that_has_expired_causes_no_fetch(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer))
    assert get(gateway, of(0)).status == 200
    assert code(get(gateway, of(1, exp=int(time.time()) - 60))) == "token_expired"
    assert issuer.asked["/jwks.json"] == 1


def test_a_key_that_is_gone_stops_tokens_that_were_seen_before(start: Start, issuer: Issuer) -> None:
    issuer.keys.append(key(1))
    gateway = start(remote(issuer, refresh="200ms"), workers=1)
    old, new = of(0), of(1)
    assert [get(gateway, text).status for text in (old, new, old, new)] == [200] * 4
    issuer.keys.pop(0)
    eventually(lambda: code(get(gateway, old)) == "invalid_token")
    assert get(gateway, new).status == 200


def test_keys_rotate_under_load_without_a_refusal(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer, refresh="100ms", cool_down="50ms"), workers=2)
    current = [0]
    stop = threading.Event()

    def load() -> list[str]:
        refused = []
        while not stop.is_set():
            answer = get(gateway, of(current[0]))
            if answer.status != 200:
                refused.append(code(answer))
        return refused

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        for number in (1, 2):
            issuer.keys.append(key(number))
            fetched_again(issuer)
            current[0] = number
            issuer.keys.pop(0)
            fetched_again(issuer)
        stop.set()
        refused = [word for done in loads for word in done.result()]
    # A token of the old key may be on its way in the moment its key goes.
    assert len(refused) <= 8
    assert set(refused) <= {"invalid_token"}
    assert code(get(gateway, of(0))) == "invalid_token"


def test_known_keys_outlive_their_issuer_for_a_while(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer, refresh="100ms", max_stale="1h"), workers=1)
    assert get(gateway, of(0)).status == 200
    issuer.stop()
    gateway.advance(600)
    assert get(gateway, of(0, exp=int(time.time()) + 86400)).status == 200
    gateway.advance(3601)
    late = of(0, exp=int(time.time()) + 86400)
    assert code(get(gateway, late)) == "authentication_unavailable"
    issuer.start()
    gateway.advance(31)
    eventually(lambda: get(gateway, late).status == 200)


def test_an_issuer_that_is_down_from_the_start_is_waited_for(start: Start, issuer: Issuer) -> None:
    issuer.stop()
    gateway = start(remote(issuer, cool_down="100ms"))
    eventually(lambda: code(get(gateway, of(0))) == "authentication_unavailable")
    assert missing(gateway) == [issuer.jwks]
    issuer.start()
    eventually(lambda: missing(gateway) == [])
    assert get(gateway, of(0)).status == 200


def test_a_slow_issuer_holds_no_request_longer_than_told(start: Start, issuer: Issuer) -> None:
    issuer.hold.clear()
    gateway = start(remote(issuer, fetch_timeout="200ms"))
    began = time.monotonic()
    assert code(get(gateway, of(0))) == "authentication_unavailable"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"{}"),
        (200, {}, b'{"keys": [' + b" " * (1 << 20) + b"]}"),
        (200, {"Transfer-Encoding": "chunked"}, b"ffffffff\r\n"),
        (200, {"Transfer-Encoding": "gzip"}, b""),
        (302, {"Location": "http://localhost:1/keys"}, b""),
        (302, {"Location": "file:///etc/passwd"}, b""),
        (302, {"Location": "/jwks.json"}, b""),
    ],
)
def test_an_answer_that_is_no_key_set_changes_nothing(
    start: Start, issuer: Issuer, answer: tuple[int, dict[str, str], bytes]
) -> None:
    gateway = start(remote(issuer, cool_down="50ms"), workers=1)
    good = of(0)
    assert get(gateway, good).status == 200
    issuer.answers["/jwks.json"] = answer
    assert code(get(gateway, of(1))) == "invalid_token"
    assert get(gateway, good).status == 200


def test_the_certificate_of_an_issuer_is_verified(start: Start) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    secure = Issuer(tls=tls)
    pem = authority.cert_pem.bytes().decode()
    assert get(start(remote(secure, ca=pem)), of(0)).status == 200
    assert code(get(start(remote(secure)), of(0))) == "authentication_unavailable"
    assert code(get(start(remote(secure, ca=trustme.CA().cert_pem.bytes().decode())), of(0))) != ""
    secure.stop()


def test_the_gateway_is_ready_when_its_keys_are_there(start: Start, issuer: Issuer) -> None:
    issuer.hold.clear()
    gateway = start(remote(issuer), admin={"address": "127.0.0.1:0"})
    status, body = ready(gateway)
    assert (status, body["ready"], body["keys"]) == (503, False, [issuer.jwks])
    issuer.hold.set()
    eventually(lambda: ready(gateway)[0] == 200)


def ready(gateway: EchoGateway) -> tuple[int, dict[str, Any]]:
    answer = gateway.admin("/readyz")
    return answer.status, json.loads(answer.body)


def test_a_redirect_on_the_same_host_is_followed(start: Start, issuer: Issuer) -> None:
    issuer.answers["/old"] = 308, {"Location": "/jwks.json"}, b""
    assert get(start(remote(issuer, jwks=f"{issuer.url}/old")), of(0)).status == 200


def test_cache_control_makes_a_refresh_sooner_and_never_later(start: Start, issuer: Issuer) -> None:
    issuer.headers["Cache-Control"] = "public, max-age=0"
    start(remote(issuer, refresh="1h", cool_down="50ms"))
    eventually(lambda: issuer.asked["/jwks.json"] >= 3)
    issuer.headers["Cache-Control"] = "max-age=3600"
    other = Issuer()
    other.headers["Cache-Control"] = "max-age=3600"
    start(remote(other, refresh="50ms"))
    eventually(lambda: other.asked["/jwks.json"] >= 3)
    other.stop()


def test_keys_stay_over_a_reload_and_new_sources_are_fetched(start: Start, issuer: Issuer) -> None:
    gateway = start(remote(issuer))
    assert get(gateway, of(0)).status == 200
    gateway.reload(remote(issuer, subject=["ada"]))
    assert get(gateway, of(0)).status == 200
    assert issuer.asked["/jwks.json"] == 1
    other = Issuer([key(1)])
    gateway.reload(remote(other))
    assert get(gateway, of(1)).status == 200
    assert code(get(gateway, of(0))) == "invalid_token"
    other.stop()


def test_a_key_that_cannot_be_used_does_not_spoil_the_others(start: Start, issuer: Issuer) -> None:
    issuer.keys += [{"kty": "oct", "k": "AAAA", "kid": "k9"}, {"kty": "EC", "crv": "secp256k1"}, {}]
    assert get(start(remote(issuer)), of(0)).status == 200
