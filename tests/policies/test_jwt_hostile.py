"""`jwt` against tokens that once passed somewhere, or brought something down. None may pass, crash, hang or leak."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.echo import Answer, EchoGateway, ask, echo_all
from tests.harness import FakeUpstream
from tests.identity.issuer import claims, decode, encode, private_key, public_jwk, public_pem, token

HEADER = {"alg": "RS256", "kid": "k1"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoGateway]:
    """One gateway for all of them: each hostile token comes to one that has seen all the others."""
    service = FakeUpstream().script(echo_all)
    keys = [public_jwk("RS256", private_key("RS256"), "k1"), public_jwk("ES256", private_key("ES256"), "e1")]
    jwt = {
        "issuer": "https://issuer.test",
        "algorithms": ["RS256", "ES256"],
        "jwks": {"keys": keys},
        "claims_to_headers": {"sub": "x-user-id", "roles": "x-user-roles", "org": "x-org"},
    }
    started = EchoGateway(service, tmp_path_factory.mktemp("hostile"), {"jwt": jwt}, 1)
    yield started
    started.stop()
    service.stop()


def get(gateway: EchoGateway, text: str) -> Answer:
    return ask(gateway, headers=[("Authorization", f"Bearer {text}")])


def refused(gateway: EchoGateway, text: str) -> None:
    """It is refused without a word of it, and the next good token still passes."""
    answer = get(gateway, text)
    assert (answer.status, answer.json()["code"]) == (401, "invalid_token"), text[:200]
    everything = answer.body.decode() + str(answer.fields)
    assert not any(part in everything for part in text.split(".") if len(part) > 12)
    assert get(gateway, token(claims())).status == 200


def signed(header: dict[str, Any] | str | bytes, payload: dict[str, Any] | str | bytes) -> str:
    """What the real key signs, whatever it is."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    text = f"{encode(header)}.{encode(payload)}"
    return f"{text}.{encode(private_key('RS256').sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", " none", "none ", "\uff4eone"])
def test_a_token_without_a_signature(gateway: EchoGateway, name: str) -> None:
    unsigned = f"{encode({'alg': name, 'kid': 'k1'})}.{encode(claims())}"
    for signature in ("", encode(b"x"), token(claims()).rpartition(".")[2]):
        refused(gateway, f"{unsigned}.{signature}")


def test_the_public_key_as_the_secret_of_a_mac(gateway: EchoGateway) -> None:
    jwk = public_jwk("RS256", private_key("RS256"), "k1")
    pem = public_pem(private_key("RS256"))
    for secret in (pem, pem.strip(), json.dumps(jwk), jwk["n"], decode(jwk["n"]), b""):
        for name, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
            text = f"{encode({'alg': name, 'kid': 'k1'})}.{encode(claims())}"
            key = secret.encode() if isinstance(secret, str) else secret
            refused(gateway, f"{text}.{encode(hmac.new(key, text.encode(), digest).digest())}")


def test_a_stripped_cut_or_moved_signature(gateway: EchoGateway) -> None:
    head, _, signature = token(claims()).rpartition(".")
    other = token(claims(sub="root")).rpartition(".")[0]
    for text in (f"{head}.", head, f"{head}.{signature[:-4]}", f"{head}.{signature}AAAA", f"{other}.{signature}"):
        refused(gateway, text)


def test_a_key_that_the_token_brings_along(gateway: EchoGateway) -> None:
    attacker = rsa.generate_private_key(65537, 2048)
    jwk = public_jwk("RS256", attacker, "k1")
    jku = {"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert"}
    for more in ({"jwk": jwk}, jku, {"x5c": [public_pem(attacker)]}, {"jwk": jwk, **jku}):
        refused(gateway, token(claims(), key=attacker, **more))


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/etc/passwd",
        "k1' OR '1'='1",
        "k1; DROP TABLE keys",
        "k1\0",
        "K1",
        " k1",
        "http://127.0.0.1/k1",
        "${env:HOME}",
        "{claims.sub}",
        "k" * 4000,
        "\u202ek1",
    ],
)
def test_a_kid_that_is_no_name(gateway: EchoGateway, kid: str) -> None:
    refused(gateway, token(claims(), kid=kid))


def test_a_token_that_is_too_long(gateway: EchoGateway) -> None:
    refused(gateway, token(claims(junk="x" * 9000)))
    refused(gateway, "a" * 8193)
    refused(gateway, "." * 8000)
    refused(gateway, "a." * 4000)


def test_nested_junk(gateway: EchoGateway) -> None:
    inner = token(claims())
    refused(gateway, signed({**HEADER, "cty": "JWT"}, inner))
    refused(gateway, ".".join(encode(encode(encode(part))) for part in inner.split(".")))
    refused(gateway, signed(HEADER, "[" * 3000))
    refused(gateway, signed(HEADER, '{"a":' * 1000))
    refused(gateway, signed(HEADER, b"\xff\xfe{}"))
    refused(gateway, f"{inner}.{inner}")
    refused(gateway, f"{inner}.a.b")


def test_members_that_come_twice(gateway: EchoGateway) -> None:
    payload = json.dumps(claims())
    for header, body in [
        ('{"alg":"RS256","kid":"k1","alg":"RS256"}', payload),
        ('{"alg":"none","alg":"RS256","kid":"k1"}', payload),
        (json.dumps(HEADER), payload[:-1] + ',"sub":"root"}'),
        (json.dumps(HEADER), payload[:-1] + ',"s\\u0075b":"root"}'),
        (json.dumps(HEADER), payload[:-1] + ',"org":{"a":1,"a":2}}'),
    ]:
        refused(gateway, signed(header, body))


WRONG: dict[str, list[Any]] = {
    "exp": ["9999999999", None, True, [9999999999], {}, 1e300, -1, 10**30, 9999999999999],
    "nbf": ["0", True, [], 1e300, -1, 9999999999],
    "iat": ["0", False, {}, 9999999999],
    "aud": [1, {}, None, [1], ["orders", None]],
    "iss": [1, ["https://issuer.test"], {}, "https://issuer.test\0"],
    "sub": [1, ["ada"], {}, True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_claims_of_the_wrong_type(gateway: EchoGateway, name: str, value: Any) -> None:
    refused(gateway, signed(HEADER, {**claims(), name: value}))


@pytest.mark.parametrize("more", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": True}])
def test_extensions(gateway: EchoGateway, more: dict[str, Any]) -> None:
    refused(gateway, signed({**HEADER, **more}, claims()))


def test_line_breaks_never_reach_a_header(gateway: EchoGateway) -> None:
    evil = "a\r\nX-Admin: 1\r\n\r\n\0\x7f"
    answer = get(gateway, token(claims(sub=evil, roles=[evil, "b", [evil]], org={evil: evil})))
    echo = answer.echo
    # What is no text stands as its sign (U+FFFD): left out, it could make one name of two.
    clean = "a\ufffd\ufffdX-Admin: 1" + "\ufffd" * 6
    found = [echo.one(name).encode("latin-1").decode() for name in ("x-user-id", "x-user-roles", "x-org")]
    assert found[:2] == [clean, f"{clean},b,{clean}"]
    assert json.loads(found[2]) == {evil[:-1] + "\ufffd": evil[:-1] + "\ufffd"}
    assert echo.all("x-admin") == []


def test_psychic_signatures(gateway: EchoGateway) -> None:
    text = f"{encode({'alg': 'ES256', 'kid': 'e1'})}.{encode(claims())}"
    order = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    zero, one = bytes(32), bytes(31) + b"\1"
    for first in (zero, one, order):
        for second in (zero, order):
            refused(gateway, f"{text}.{encode(first + second)}")
            refused(gateway, f"{text}.{encode(second + first)}")


def test_an_es_signature_in_another_form(gateway: EchoGateway) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    text = f"{encode({'alg': 'ES256', 'kid': 'e1'})}.{encode(claims())}"
    der = private_key("ES256").sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    refused(gateway, f"{text}.{encode(der)}")
    raw = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))
    assert get(gateway, f"{text}.{encode(raw)}").status == 200
    refused(gateway, f"{text}.{encode(bytes(1) + raw)}")


def test_base64_that_is_spelled_otherwise(gateway: EchoGateway) -> None:
    good = token(claims())
    header, payload, signature = good.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 bytes end in a sign of which four bits mean nothing.
    last = alphabet[alphabet.index(signature[-1]) ^ 1]
    for text in (
        f"{header}.{payload}.{signature[:-1]}{last}",
        f"{good}=",
        f"{good}==",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}%2e{signature}",
        good.replace("-", "+").replace("_", "/") if {"-", "_"} & set(good) else f"{good}+",
        f"{header}.{payload}\t.{signature}",
    ):
        refused(gateway, text)


def test_two_tokens(gateway: EchoGateway) -> None:
    good = ("Authorization", f"Bearer {token(claims())}")
    answer = ask(gateway, headers=[good, ("Authorization", "Bearer junk")])
    assert (answer.status, answer.json()["code"]) == (401, "invalid_token")


def test_a_remembered_token_opens_nothing_for_its_look_alikes(gateway: EchoGateway) -> None:
    good = token(claims())
    assert get(gateway, good).status == 200
    header, payload, signature = good.split(".")
    forged = encode({**json.loads(decode(payload)), "sub": "root"})
    refused(gateway, f"{header}.{forged}.{signature}")
    assert get(gateway, good).echo.one("x-user-id") == "ada"


def test_nothing_of_a_token_is_in_the_log(tmp_path: Path, echo_service: FakeUpstream) -> None:
    log = tmp_path / "access.log"
    jwt = {"algorithms": ["RS256"], "public_key": public_pem(private_key("RS256"))}
    gateway = EchoGateway(echo_service, tmp_path, {"jwt": jwt}, 1, access_log={"file": str(log)})
    texts = [token(claims()), token(claims(exp=int(time.time()) - 5)), token(claims(), key=private_key("RS256", 1))]
    for text in texts:
        get(gateway, text)
    gateway.stop()
    written = log.read_text()
    assert written.count("\n") >= len(texts)
    assert "the token has expired" in written
    assert not any(part in written for text in texts for part in text.split("."))
