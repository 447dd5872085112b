"""`jwt`: only who has a token of the issuer gets through, and the service learns who that is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OKPKey
from tidegate.errors import ConfigError

from tests.echo import Answer, EchoGateway, Start, ask
from tests.identity.issuer import claims, private_key, public_jwk, public_pem, token

SECRET = "a secret of 64 bytes, which is what HS512 takes as its least one!"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def options(*algorithms: str, **changes: Any) -> dict[str, Any]:
    """`jwt` with the public keys of the algorithms, RS256 unless others are named."""
    names = algorithms or ("RS256",)
    pems = list(dict.fromkeys(public_pem(private_key(name)) for name in names))
    return {"jwt": {"issuer": "https://issuer.test", "algorithms": list(names), "public_key": pems, **changes}}


def bearer(text: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {text}")]


def get(gateway: EchoGateway, text: str) -> Answer:
    return ask(gateway, headers=bearer(text))


def code(answer: Answer) -> str:
    return "" if answer.status == 200 else str(answer.json()["code"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_each_algorithm_passes(start: Start, algorithm: str) -> None:
    gateway = start(options(algorithm))
    assert get(gateway, token(claims(), algorithm)).status == 200
    forged = token(claims(), algorithm, key=private_key(algorithm, 1))
    assert code(get(gateway, forged)) == "invalid_token"


def test_a_token_of_another_library_passes(start: Start) -> None:
    key = OKPKey.generate_key("Ed25519")
    jwks = {"keys": [key.as_dict(private=False)]}
    gateway = start({"jwt": {"algorithms": ["EdDSA"], "jwks": jwks}})
    signed = joserfc_jwt.encode({"alg": "Ed25519"}, claims(), key, algorithms=["Ed25519"])
    assert get(gateway, signed).status == 200


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_shared_secret_is_for_hs_only(start: Start, algorithm: str) -> None:
    gateway = start({"jwt": {"algorithms": [algorithm], "secret": SECRET}})
    assert get(gateway, token(claims(), algorithm, key=SECRET)).status == 200
    assert code(get(gateway, token(claims(), algorithm, key=SECRET + "?"))) == "invalid_token"


def test_refusals_say_what_rfc_6750_says_and_nothing_of_the_token(start: Start) -> None:
    gateway = start(options())
    expired, invalid = token(claims(exp=int(time.time()) - 1)), token(claims(), key=private_key("RS256", 1))
    for headers, word, title, challenge in [
        ([], "missing_token", "Missing authentication token", 'Bearer realm="api"'),
        (bearer(expired), "token_expired", "Token expired", 'error="invalid_token"'),
        (bearer(invalid), "invalid_token", "Invalid token", 'error="invalid_token"'),
        (bearer(""), "missing_token", "Missing authentication token", 'Bearer realm="api"'),
        (bearer("a"), "invalid_token", "Invalid token", 'error="invalid_token"'),
    ]:
        answer = ask(gateway, headers=headers)
        assert (answer.status, code(answer), answer.json()["title"]) == (401, word, title)
        assert challenge in answer.one("www-authenticate")
        for part in [part for _, value in headers for part in value.split(".") if len(part) > 20]:
            assert part not in answer.body.decode() + str(answer.fields)


def test_the_service_gets_claims_as_headers_and_no_token(start: Start) -> None:
    wanted = {"sub": "x-user-id", "roles": "x-user-roles", "realm.roles": "x-realm", "org": "x-org", "no": "x-no"}
    gateway = start(options(claims_to_headers={**wanted, "https://a.test/role": "x-role", "age": "x-age"}))
    payload = claims(
        roles=["a", "b"], realm={"roles": ["c"]}, org={"id": 7}, age=36.5, **{"https://a.test/role": "admin"}
    )
    echo = get(gateway, token(payload)).echo
    assert echo.one("x-user-id") == "ada"
    assert echo.one("x-user-roles") == "a,b"
    assert echo.one("x-realm") == "c"
    assert echo.one("x-org") == '{"id":7}'
    assert echo.one("x-role") == "admin"
    assert echo.one("x-age") == "36.5"
    assert echo.all("x-no") == []
    assert echo.all("authorization") == []


def test_the_headers_of_claims_are_taken_from_clients_everywhere(start: Start) -> None:
    free = {"name": "free", "paths": ["/a"], "service": "echo", "strip_path": False, "policies": {"jwt": "off"}}
    gateway = start(options(claims_to_headers={"email": "x-user-email"}), routes=[free])
    forged = [("X-User-Email", "a@b"), ("x_user_email", "a@b"), ("X.User.Email", "a@b"), ("Connection", "x-user-email")]
    assert "a@b" not in ask(gateway, target="/", headers=[*bearer(token(claims())), *forged]).echo.values()
    assert "a@b" not in ask(gateway, target="/a", headers=forged).echo.values()


def test_a_token_can_come_in_a_header_or_cookie_of_its_own(start: Start) -> None:
    good = token(claims())
    gateway = start(options(token=["header:x-token", "cookie:session"]))
    for headers in ([("X-Token", good)], [("X-Token", f"Bearer {good}")], [("Cookie", f"a=1; session={good}")]):
        echo = ask(gateway, headers=headers).echo
        assert good not in "".join(echo.values())
        assert echo.all("cookie") == (["a=1"] if headers[0][0] == "Cookie" else [])
    # What stands under another spelling was never checked, and some servers read it as the same header.
    assert "unchecked" not in ask(gateway, headers=[("X-Token", good), ("X_Token", "unchecked")]).echo.values()
    assert code(ask(gateway, headers=bearer(good))) == "missing_token"
    assert code(ask(gateway, headers=[("X-Token", good), ("X-Token", good)])) == "invalid_token"
    only_cookie = start(options(token="cookie:session"))
    assert ask(only_cookie, headers=[("Cookie", f"session={good}")]).status == 200


def test_a_token_can_be_passed_on(start: Start) -> None:
    good = token(claims())
    assert get(start(options(forward_token=True)), good).echo.one("authorization") == f"Bearer {good}"


def test_optional_lets_nobody_on_but_no_bad_token(start: Start) -> None:
    gateway = start(options(optional=True, claims_to_headers={"sub": "x-user-id"}))
    assert ask(gateway).echo.all("x-user-id") == []
    assert get(gateway, token(claims())).echo.one("x-user-id") == "ada"
    assert code(get(gateway, "junk")) == "invalid_token"


@pytest.mark.parametrize(
    ("demand", "changes", "outcome"),
    [
        ({}, {}, ""),
        ({}, {"iss": "https://issuer.test/"}, "invalid_token"),
        ({}, {"iss": None}, "invalid_token"),
        ({"audience": "orders"}, {}, ""),
        ({"audience": ["carts", "orders"]}, {"aud": ["x", "orders"]}, ""),
        ({"audience": "orders"}, {"aud": "carts"}, "invalid_token"),
        ({"audience": "orders"}, {"aud": None}, "invalid_token"),
        ({"subject": ["ada", "bob"]}, {}, ""),
        ({"subject": "bob"}, {}, "invalid_token"),
        ({"required_claims": ["tenant"]}, {"tenant": "t"}, ""),
        ({"required_claims": ["tenant"]}, {}, "invalid_token"),
        ({}, {"exp": None}, "invalid_token"),
        ({"require_expiry": False}, {"exp": None}, ""),
        ({"max_lifetime": "10m"}, {}, ""),
        ({"max_lifetime": "9m"}, {}, "invalid_token"),
        ({"token_types": "at+jwt"}, {}, "invalid_token"),
    ],
)
def test_claims_are_as_demanded(start: Start, demand: dict[str, Any], changes: dict[str, Any], outcome: str) -> None:
    assert code(get(start(options(**demand)), token(claims(**changes)))) == outcome


def test_leeway_is_for_clocks_that_differ(start: Start) -> None:
    late = token(claims(exp=int(time.time()) - 30))
    assert code(get(start(options()), late)) == "token_expired"
    assert get(start(options(leeway="1m")), late).status == 200
    early = token(claims(nbf=int(time.time()) + 30))
    assert code(get(start(options()), early)) == "invalid_token"
    assert get(start(options(leeway="1m")), early).status == 200


def test_a_token_that_was_seen_before_expires_all_the_same(start: Start) -> None:
    gateway = start(options(), workers=1)
    good = token(claims())
    assert [get(gateway, good).status for _ in range(3)] == [200] * 3
    gateway.advance(601)
    assert code(get(gateway, good)) == "token_expired"


def test_each_of_several_issuers_judges_its_own(start: Start) -> None:
    entries = [
        {"issuer": "https://one.test", "algorithms": ["RS256"], "public_key": public_pem(private_key("RS256"))},
        {"issuer": "https://two.test", "algorithms": ["ES256"], "public_key": public_pem(private_key("ES256"))},
    ]
    gateway = start({"jwt": {"issuers": entries, "claims_to_headers": {"iss": "x-issuer"}}})
    for issuer, algorithm, good in [
        ("https://one.test", "RS256", True),
        ("https://two.test", "ES256", True),
        ("https://one.test", "ES256", False),
        ("https://two.test", "RS256", False),
        ("https://three.test", "RS256", False),
    ]:
        answer = get(gateway, token(claims(iss=issuer), algorithm))
        assert (answer.status == 200) == good
        if good:
            assert answer.echo.one("x-issuer") == issuer


# Whoever has the keys of an issuer without a name could sign tokens in the name of the others.
def test_of_several_issuers_each_has_a_name(start: Start) -> None:
    pem = public_pem(private_key("RS256"))
    named = {"issuer": "https://one.test", "algorithms": ["RS256"], "public_key": pem}
    nameless = {"algorithms": ["RS256"], "public_key": pem}
    with pytest.raises(ConfigError, match=r"issuers\[1\].*each signs in its own name only"):
        start({"jwt": {"issuers": [named, nameless]}})


def test_a_claim_can_name_a_consumer(start: Start) -> None:
    shown = {"request_headers": {"set": {"x-consumer": "{consumer.name}/{consumer.tier}"}}}
    consumers = [{"name": "acme", "tier": "business"}]
    gateway = start({**options(consumer_claim="client.id"), **shown}, consumers=consumers)
    assert get(gateway, token(claims(client={"id": "acme"}))).echo.one("x-consumer") == "acme/business"
    assert get(gateway, token(claims(client={"id": "who"}))).echo.one("x-consumer") == "/"


def test_a_nearer_level_has_its_own_issuer(start: Start) -> None:
    nearer = {"name": "near", "paths": ["/a"], "service": "echo", "strip_path": False, "policies": options("ES256")}
    gateway = start(options(), routes=[nearer])
    assert get(gateway, token(claims())).status == 200
    assert code(ask(gateway, target="/a", headers=bearer(token(claims())))) == "invalid_token"
    assert ask(gateway, target="/a", headers=bearer(token(claims(), "ES256"))).status == 200


def test_what_was_remembered_is_judged_anew_after_a_reload(start: Start) -> None:
    gateway = start(options())
    good = token(claims())
    assert get(gateway, good).status == 200
    gateway.reload(options(subject="bob"))
    assert code(get(gateway, good)) == "invalid_token"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"algorithms": []}, "`algorithms` is missing"),
        ({"algorithms": ["none"]}, "a token without a signature proves nothing"),
        ({"algorithms": ["NONE"]}, "a token without a signature proves nothing"),
        ({"algorithms": ["HS256"]}, "goes with `secret`"),
        ({"algorithms": ["rs256"]}, "did you mean `RS256`"),
        ({"algorithms": ["ES256"]}, "no key serves `ES256`"),
        ({"jwks": "https://issuer.test/keys"}, "the keys come from one place"),
        ({"public_key": "issuer.pem"}, "expected the text of a PEM file"),
        ({"public_key": [], "jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "private or secret key"),
        ({"public_key": [], "jwks": "{}"}, "no list of `keys`"),
        ({"public_key": [], "jwks": "ftp://issuer.test"}, "is not a URL"),
        ({"public_key": [], "issuer": "issuer.test"}, "there are no keys"),
        ({"public_key": [], "algorithms": ["HS256"], "secret": "short"}, "at least 32 bytes"),
        ({"public_key": [], "secret": SECRET}, "goes with public keys"),
        ({"token": ["query:token"]}, "is no place for a token"),
        ({"token": ["header:x-token"], "claims_to_headers": {"sub": "X-Token"}}, "carries credentials"),
        ({"realm": 'a"b'}, "a realm has no quotes"),
        ({"claims_to_headers": {"sub": "authorization"}}, "`authorization` cannot be owned"),
        ({"claims_to_headers": {"a..b": "x-a"}}, "is not a claim"),
        ({"issuers": [{"algorithms": ["RS256"]}]}, "is written for each of them"),
    ],
)
def test_a_document_that_proves_nothing_is_refused(start: Start, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        start(options(**changes))
    assert problem in str(refused.value)


@pytest.mark.parametrize("more", [{"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "RSA-OAEP"}, {"alg": "ES256"}])
def test_a_key_for_something_else_is_not_taken(start: Start, more: dict[str, Any]) -> None:
    jwks = json.dumps({"keys": [public_jwk("RS256", private_key("RS256"), "k1", **more)]})
    with pytest.raises(ConfigError, match=r"keys\[0\]"):
        start(options(public_key=[], jwks=jwks))
