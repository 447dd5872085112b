"""`signed_identity`: services get a token that says who calls, and that only the gateway can have made."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from tidegate import ConfigError
from tidegate._native import make_signing_key

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import FakeUpstream, RunningGateway, eventually

ISSUER = "https://gateway.example"
JWKS = "/.well-known/tidegate/jwks.json"


class Scene:
    """A gateway that knows everybody by what an auth service says, and tells the service behind."""

    def __init__(self, gateway: RunningGateway, auth: FakeUpstream, service: FakeUpstream, reload: Any) -> None:
        self.gateway = gateway
        self.auth = auth
        self.service = service
        self.turned = 0
        self._reload = reload

    def reload(self, **options: Any) -> None:
        self._reload(self.gateway, options)

    def caller(self, **headers: str) -> None:
        """Sets who calls from now on."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.auth.answer(f"HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")

    def token(self, path: str = "/orders", header: str = "x-jwt-assertion", **headers: str) -> str | None:
        """The token that the service got."""
        answer = self.gateway.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.status == 200, answer
        found = [value for name, value in answer.json()["fields"] if name.lower() == header]
        assert len(found) < 2
        return found[0] if found else None

    def jwks(self, path: str = JWKS) -> jwt.PyJWKSet:
        answer = self.gateway.get(path)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/jwk-set+json")
        return jwt.PyJWKSet.from_dict(answer.json())

    def claims(self, token: str | None, audience: str = "orders", **options: Any) -> dict[str, Any]:
        """What a service finds in a token that it has checked."""
        assert token is not None
        header = jwt.get_unverified_header(token)
        key = self.jwks()[header["kid"]]
        claims = jwt.decode(token, key, algorithms=["ES256", "EdDSA"], audience=audience, issuer=ISSUER, **options)
        assert isinstance(claims, dict)
        return claims


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream, tmp_path: Path) -> Any:
    auth, service = upstream(), upstream().script(echo_all)

    def document(options: dict[str, Any]) -> dict[str, Any]:
        keys: dict[str, Any] = {} if {"keys", "rotate"} & options.keys() else {"keys": [make_signing_key("ES256")]}
        return {
            "services": [
                {"name": "orders", "url": service.url},
                {"name": "carts", "url": service.url},
                {"name": "auth", "url": auth.url},
            ],
            "policies": {
                "forward_auth": {
                    "service": "auth",
                    "claims": {"sub": "x-user", "email": "x-email", "customer": "x-customer"},
                    "consumer_claim": "customer",
                },
                "signed_identity": {"issuer": ISSUER, **keys, **options},
            },
            "consumers": [{"name": "shop", "tier": "business"}, {"name": "lone"}],
            "routes": [
                {"name": "orders", "paths": ["/orders"], "service": "orders"},
                {"name": "carts", "paths": ["/carts"], "service": "carts"},
                {"name": "open", "paths": ["/open"], "service": "orders", "policies": {"forward_auth": "off"}},
                {
                    "name": "plain",
                    "paths": ["/plain"],
                    "service": "orders",
                    "policies": {"forward_auth": "off", "signed_identity": "off"},
                },
            ],
        }

    def begin(*, workers: int = 1, **options: Any) -> Scene:
        running = gateway(document(options), workers=workers)
        made = Scene(running, auth, service, lambda running, options: running.reload(document(options)))
        made.caller(x_user="ann", x_email="ann@shop.example")
        return made

    return begin


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_service_learns_who_calls_and_can_check_it(scene: Any, algorithm: str) -> None:
    it = scene(keys=[make_signing_key(algorithm)], claims=["email", "missing"])
    before = int(time.time())
    token = it.token()
    claims = it.claims(token)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert before <= claims["iat"] <= int(time.time())
    assert claims == {
        "iss": ISSUER,
        "aud": "orders",
        "sub": "ann",
        "email": "ann@shop.example",
        "iat": claims["iat"],
        "exp": claims["iat"] + 60,
    }


def test_a_token_is_for_one_service(scene: Any) -> None:
    it = scene()
    token = it.token("/carts")
    assert it.claims(token, "carts")["sub"] == "ann"
    with pytest.raises(jwt.InvalidAudienceError):
        it.claims(token, "orders")


def test_the_audience_can_be_named(scene: Any) -> None:
    it = scene(audience="urn:shop")
    assert it.claims(it.token(), "urn:shop")["sub"] == "ann"


@pytest.mark.parametrize("name", ["X-JWT-Assertion", "x_jwt_assertion", "X.Jwt.Assertion"])
def test_a_client_cannot_bring_a_token_of_its_own(scene: Any, name: str) -> None:
    it = scene()
    for path in ("/orders", "/open", "/plain"):
        answer = it.gateway.get(path, headers={name: "forged"})
        assert "forged" not in answer.text


def test_without_a_caller_there_is_a_token_only_where_it_is_wanted(scene: Any) -> None:
    it = scene()
    assert it.token("/open") is None
    it = scene(anonymous=True)
    assert "sub" not in it.claims(it.token("/open"))


def test_what_a_caller_is_called_cannot_be_more_than_a_name(scene: Any) -> None:
    it = scene(claims=["email"])
    it.caller(x_user='ann","admin":true,"x":"', x_email='\\"é')
    claims = it.claims(it.token())
    assert (claims["sub"], "admin" in claims) == ('ann","admin":true,"x":"', False)


def test_a_token_is_made_once_for_a_caller_and_a_service_and_anew_in_time(scene: Any) -> None:
    it = scene()
    first = it.token()
    assert it.token() == first
    assert it.token("/carts") != first
    it.caller(x_user="bob")
    assert it.token() != first
    it.caller(x_user="ann")
    assert it.token() == first
    it.gateway.advance(16)
    later = it.token()
    assert later != first
    assert it.claims(later, leeway=30)["exp"] >= it.claims(first)["exp"] + 15


def test_with_the_id_of_the_request_no_token_serves_two(scene: Any) -> None:
    it = scene(request_id=True)
    answers = [it.gateway.get("/orders") for _ in range(2)]
    tokens = [
        next(value for name, value in answer.json()["fields"] if name.lower() == "x-jwt-assertion")
        for answer in answers
    ]
    assert [it.claims(token)["request_id"] for token in tokens] == [
        answer.headers["x-request-id"] for answer in answers
    ]


def test_a_token_says_which_consumer_calls(scene: Any) -> None:
    it = scene()
    it.caller(x_user="ann", x_customer="shop")
    claims = it.claims(it.token())
    assert (claims["sub"], claims["consumer"], claims["tier"]) == ("ann", "shop", "business")
    for customer, known in (("lone", {"consumer": "lone"}), ("nobody", {})):
        it.caller(x_user="ann", x_customer=customer)
        claims = it.claims(it.token())
        assert {name: claims[name] for name in ("consumer", "tier") if name in claims} == known


# ---- keys


def test_the_first_key_signs_and_all_are_published(scene: Any) -> None:
    first, second = make_signing_key("ES256"), make_signing_key("EdDSA")
    it = scene(keys=[first, second])
    old = it.token()
    assert len(it.jwks().keys) == 2
    it.reload(keys=[second, first])
    new = it.token()
    assert jwt.get_unverified_header(old)["alg"] == "ES256"
    assert jwt.get_unverified_header(new)["alg"] == "EdDSA"
    assert it.claims(old)["sub"] == it.claims(new)["sub"] == "ann"
    it.reload(keys=[second])
    with pytest.raises(KeyError):
        it.claims(old)


def test_keys_can_be_in_files(scene: Any, tmp_path: Path) -> None:
    file = tmp_path / "identity.pem"
    file.write_text(make_signing_key("ES256"))
    it = scene(keys=[str(file)])
    assert it.claims(it.token())["sub"] == "ann"


def test_nothing_private_is_published(scene: Any) -> None:
    it = scene(keys=[make_signing_key("ES256"), make_signing_key("EdDSA")])
    answer = it.gateway.get(JWKS)
    assert all(not {"d", "k", "p", "q"} & key.keys() for key in answer.json()["keys"])
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert it.gateway.request("HEAD", JWKS).status == 200
    assert it.gateway.post(JWKS).status == 405
    assert "PRIVATE" not in json.dumps(it.gateway.server.loaded.plan.decode()).replace("BEGIN PRIVATE", "").replace(
        "END PRIVATE", ""
    )


def test_the_path_of_the_keys_can_be_chosen(scene: Any) -> None:
    it = scene(jwks_path="/keys.json")
    assert len(it.jwks("/keys.json").keys) == 1
    assert it.gateway.get(JWKS).code == "no_route"


def test_keys_that_are_made_rotate_and_are_known_before_and_after(scene: Any, tmp_path: Path) -> None:
    it = scene(rotate="24h", overlap="1h", key_file=str(tmp_path / "keys.json"), ttl="60s")
    kids = [jwt.get_unverified_header(it.token())["kid"]]
    assert len(it.jwks().keys) == 1
    old = it.token()
    it.gateway.advance(23 * 3600 + 1)
    assert len(it.jwks().keys) == 2  # published an hour before it signs
    assert jwt.get_unverified_header(it.token())["kid"] == kids[0]
    it.gateway.advance(3600)
    kids.append(jwt.get_unverified_header(it.token())["kid"])
    assert kids[0] != kids[1]
    assert it.claims(old, options={"verify_exp": False, "verify_iat": False})["sub"] == "ann"
    it.gateway.advance(3602)
    assert [key.key_id for key in it.jwks().keys] == [kids[1]]


def test_the_file_of_keys_is_for_its_owner_only_and_serves_restarts_and_other_gateways(
    scene: Any, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    first, second = scene(rotate="24h", key_file=str(file)), scene(rotate="24h", key_file=str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.claims(second.token())["sub"] == second.claims(first.token())["sub"] == "ann"
    first.gateway.advance(23 * 3600 + 1)
    second.gateway.advance(1)
    assert {key.key_id for key in first.jwks().keys} == {key.key_id for key in second.jwks().keys}
    assert len(second.jwks().keys) == 2


def test_keys_turn_under_load_and_every_token_is_good(scene: Any, tmp_path: Path) -> None:
    # In real time: a clock that is moved would let the requests that are under way time out.
    it = scene(rotate="2s", overlap="1s", key_file=str(tmp_path / "keys.json"), ttl="1s", workers=2)
    over = threading.Event()
    kids: set[str] = set()
    failures: list[object] = []

    def check_all() -> None:
        """Checks every token with keys that were fetched at most half an overlap ago."""
        fetched, known = 0.0, set[str | None]()
        while not over.is_set():
            if time.monotonic() > fetched + 0.5:
                fetched, known = time.monotonic(), {key.key_id for key in it.jwks().keys}
            kid = jwt.get_unverified_header(it.token())["kid"]
            kids.add(kid)
            if kid not in known:
                failures.append(kid)

    threads = [threading.Thread(target=check_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(kids) >= 3, "the third key")
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not failures


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": [{"signs_from": 1}]}', '{"keys": [{"signs_from": 1, "private_key": "x"}]}']
)
def test_a_file_of_keys_that_is_none_is_not_written_over(scene: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match="is no file of signing keys"):
        scene(rotate="24h", key_file=str(file))
    assert file.read_text() == text


def test_a_file_of_keys_that_fails_for_a_while_stops_nothing(scene: Any, tmp_path: Path, caplog: Any) -> None:
    file = tmp_path / "keys.json"
    it = scene(rotate="24h", key_file=str(file))
    file.write_text("broken")
    it.gateway.advance(60)
    assert it.claims(it.token(), leeway=120)["sub"] == "ann"
    assert "signing keys cannot be refreshed" in caplog.text


# ---- the document


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"issuer": ""}, "`issuer` is missing"),
        ({"keys": []}, "`keys` is missing"),
        ({"keys": ["nowhere.pem"]}, "cannot read `nowhere.pem`"),
        (
            {"keys": ["-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"]},
            "expected an EC key on the curve P-256",
        ),
        ({"rotate": "24h"}, "`key_file` is missing"),
        ({"rotate": "24h", "key_file": "x", "keys": [make_signing_key("ES256")]}, "exclude each other"),
        ({"rotate": "90m", "key_file": "x"}, "twice as long"),
        ({"claims": ["exp"]}, "makes the claim `exp` itself"),
        ({"ttl": "1500ms"}, "whole seconds"),
        ({"header": "content-length"}, "belongs to the gateway"),
        ({"jwks_path": "keys"}, "expected a path"),
        ({"jwks_path": "/a/../b"}, "expected a path"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_of_the_document(scene: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scene(**options)
    assert [found.path for found in caught.value.problems if problem in found.message]
    assert "PRIVATE KEY" not in str(caught.value).replace("`PRIVATE KEY`", "")
