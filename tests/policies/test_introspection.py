"""`introspection`: the provider says whether a token is good, and whose it is."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any
from urllib.parse import parse_qs

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import Answer, Connection, FakeUpstream, RunningGateway, eventually
from tests.harness.upstream import hang_after_head, hang_before_head, reset_before_answer

TOKEN = {"Authorization": "Bearer abc.def-1~+/=="}


def said(data: Any, status: int = 200) -> str:
    """An answer of the provider."""
    body = data if isinstance(data, str) else json.dumps(data)
    return f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"


class Scene:
    """A gateway that asks `provider` about every token of a request to `service`."""

    def __init__(self, gateway: RunningGateway, provider: FakeUpstream, service: FakeUpstream) -> None:
        self.gateway = gateway
        self.provider = provider
        self.service = service

    def get(self, path: str = "/orders", **options: Any) -> Answer:
        return self.gateway.get(path, **{"headers": TOKEN, **options})

    def seen(self, path: str = "/orders", **options: Any) -> dict[str, str]:
        """The headers that the service saw."""
        answer = self.get(path, **options)
        assert answer.status == 200, answer
        return {name.lower(): value for name, value in answer.json()["fields"]}


@pytest.fixture
def scene(gateway: StartGateway, upstream: StartUpstream) -> Any:
    def begin(*, workers: int = 1, policies: dict[str, Any] | None = None, **options: Any) -> Scene:
        provider, service = upstream().answer(said({"active": True, "sub": "ann"})), upstream().script(echo_all)
        document = {
            "services": [
                {"name": "service", "url": service.url},
                {"name": "provider", "url": f"{provider.url}/oauth", "retries": 0},
            ],
            "policies": {
                "introspection": {"service": "provider", "path": "/introspect", **options},
                **(policies or {}),
            },
            "routes": [
                {"name": "all", "paths": ["/"], "service": "service"},
                {"name": "open", "paths": ["/open"], "service": "service", "policies": {"introspection": "off"}},
            ],
        }
        return Scene(gateway(document, workers=workers), provider, service)

    return begin


def test_the_provider_is_asked_as_the_rfc_says(scene: Any) -> None:
    it = scene(client_id="gate:way", client_secret="s p&ce")
    assert it.get().status == 200
    asked = it.provider.last
    assert (asked.method, asked.target) == ("POST", "/oauth/introspect")
    assert parse_qs(asked.body.decode()) == {"token": ["abc.def-1~+/=="], "token_type_hint": ["access_token"]}
    fields = dict(asked.fields)
    assert fields["content-type"] == "application/x-www-form-urlencoded"
    assert fields["accept"] == "application/json"
    # RFC 6749 section 2.3.1: both are form-encoded before they are put together.
    assert base64.b64decode(fields["authorization"].removeprefix("Basic ")) == b"gate%3Away:s%20p%26ce"


def test_the_credentials_of_the_gateway_can_go_in_the_form_or_be_a_token(scene: Any) -> None:
    it = scene(client_id="gate", client_secret="se&cret", client_auth="post")
    it.get()
    form = parse_qs(it.provider.last.body.decode())
    assert (form["client_id"], form["client_secret"]) == (["gate"], ["se&cret"])
    it = scene(bearer_token="own")
    it.get()
    assert it.provider.last.header("authorization") == "Bearer own"


def test_claims_become_headers_and_the_token_goes_no_further(scene: Any) -> None:
    it = scene(
        claims_to_headers={"sub": "x-user-id", "roles": "x-roles", "realm.tenant": "x-tenant", "gone": "x-gone"},
        policies={"request_headers": {"set": {"x-who": "{identity.subject} {claims.email} {identity.method}"}}},
    )
    it.provider.answer(
        said({"active": True, "sub": "ann", "roles": ["a", "b"], "realm": {"tenant": 7}, "email": "a\r\nx-evil: 1"})
    )
    seen = it.seen()
    assert (seen["x-user-id"], seen["x-roles"], seen["x-tenant"]) == ("ann", "a,b", "7")
    assert seen["x-who"].encode("latin-1").decode() == "ann a\ufffd\ufffdx-evil: 1 introspection"
    assert not {"x-gone", "authorization", "x-evil"} & seen.keys()


@pytest.mark.parametrize("name", ["X-User-Id", "x_user_id", "X.User.Id"])
def test_a_client_cannot_set_a_header_that_a_claim_goes_into(scene: Any, name: str) -> None:
    it = scene(claims_to_headers={"sub": "x-user-id"})
    assert it.seen(headers={**TOKEN, name: "root"})["x-user-id"] == "ann"
    assert "root" not in it.get("/open", headers={name: "root"}).text


@pytest.mark.parametrize(
    ("places", "headers", "found"),
    [
        (["cookie:session"], {"Cookie": "a=1; session=tok; b=2"}, "tok"),
        (["header:x-token"], {"X-Token": "tok"}, "tok"),
        (["header:x-token", "authorization"], {"Authorization": "bearer tok"}, "tok"),
        (["authorization"], {"Authorization": "Basic YTpi"}, None),
        (["authorization"], {"Authorization": "Bearer"}, None),
        (["authorization"], {"X-Token": "tok"}, None),
    ],
)
def test_the_token_is_looked_for_where_it_may_be(
    scene: Any, places: list[str], headers: Any, found: str | None
) -> None:
    it = scene(token=places)
    answer = it.get(headers=headers)
    if found is None:
        assert (answer.status, answer.code) == (401, "missing_token")
        assert answer.headers["www-authenticate"] == 'Bearer realm="api"'
        assert not it.provider.requests
    else:
        assert parse_qs(it.provider.last.body.decode())["token"] == [found]
        assert "tok" not in json.dumps(answer.json()["fields"])


@pytest.mark.parametrize("token", ["a b", "a=b", "=", "é", "a\tb", "x" * 8193, "{}", "a%00b", "a,b"])
def test_what_no_token_can_be_is_not_asked_about(scene: Any, token: str) -> None:
    it = scene()
    with it.gateway.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + token.encode() + b"\r\n\r\n")
        assert client.read_until(b"\r\n").startswith(b"HTTP/1.1 401 ")
    assert not it.provider.requests


def test_two_tokens_are_none(scene: Any) -> None:
    it = scene()
    with it.gateway.raw() as client:
        client.send(b"GET /orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n")
        assert client.read_until(b"\r\n").startswith(b"HTTP/1.1 401 ")


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "options", "code"),
    [
        ({"active": False}, {}, "invalid_token"),
        ({"active": True, "exp": NOW - 60}, {}, "token_expired"),
        ({"active": True, "nbf": NOW + 600}, {}, "invalid_token"),
        ({"active": True, "exp": "tomorrow"}, {}, "invalid_token"),
        ({"active": True, "exp": True}, {}, "invalid_token"),
        ({"active": True, "exp": NOW * 1000}, {}, "invalid_token"),
        ({"active": True}, {"issuer": "https://a.example"}, "invalid_token"),
        ({"active": True, "iss": "https://b.example"}, {"issuer": "https://a.example"}, "invalid_token"),
        ({"active": True, "aud": ["x"]}, {"audience": ["shop"]}, "invalid_token"),
        ({"active": True, "aud": {"shop": 1}}, {"audience": ["shop"]}, "invalid_token"),
        ({"active": True, "scope": "read"}, {"scopes": ["read", "write"]}, "forbidden"),
        ({"active": True, "scope": "writer reads"}, {"scopes": ["read"]}, "forbidden"),
        ({"active": True}, {"scopes": ["read"]}, "forbidden"),
    ],
)
def test_a_token_that_is_no_good_is_refused(scene: Any, claims: Any, options: Any, code: str) -> None:
    it = scene(**options)
    it.provider.answer(said(claims))
    answer = it.get()
    assert answer.code == code
    assert answer.status == (403 if code == "forbidden" else 401)
    error = "insufficient_scope" if code == "forbidden" else "invalid_token"
    assert f'error="{error}"' in answer.headers["www-authenticate"]
    assert "abc" not in answer.text + str(answer.fields)
    assert not it.service.requests


@pytest.mark.parametrize(
    "claims",
    [
        {
            "active": True,
            "exp": NOW + 600,
            "nbf": NOW - 1,
            "iss": "https://a.example",
            "aud": ["x", "shop"],
            "scope": "a read b",
        },
        {"active": True, "exp": NOW + 600.5, "iss": "https://a.example", "aud": "shop", "scope": ["read"]},
    ],
)
def test_a_token_that_is_all_it_must_be_passes(scene: Any, claims: Any) -> None:
    it = scene(issuer="https://a.example", audience="shop", scopes="read")
    it.provider.answer(said(claims))
    assert it.get().status == 200


HOSTILE = {
    "no JSON": said("active"),
    "a list": said([{"active": True}]),
    "nothing": said(""),
    "active as text": said({"active": "true"}),
    "active as number": said({"active": 1}),
    "active twice": said('{"active": false, "active": true}'),
    "no active": said({"sub": "ann"}),
    "deep nesting": said('{"active": true, "a": ' + "[" * 5000 + "]" * 5000 + "}"),
    "an error": said({"active": True}, 500),
    "a refusal of the gateway": said({"active": True}, 401),
    "a redirect": "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    "a giant body": "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{",
    "a body without end": "HTTP/1.1 200 OK\r\n\r\n" + "x" * 100_000,
    "a bare line feed": 'HTTP/1.1 200 OK\r\nx: a\nb\r\ncontent-length: 16\r\n\r\n{"active": true}',
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_answer_that_is_none_keeps_the_request_out_and_is_not_remembered(scene: Any, answer: str) -> None:
    it = scene(timeout="500ms")
    it.provider.answer(answer)
    got = it.get()
    assert (got.status, got.code) == (503, "authentication_unavailable")
    assert not it.service.requests
    it.provider.answer(said({"active": True}))
    assert it.get().status == 200


@pytest.mark.parametrize("play", [hang_before_head, hang_after_head, reset_before_answer])
def test_a_provider_that_fails_keeps_the_request_out(scene: Any, play: Any) -> None:
    it = scene(timeout="200ms")
    it.provider.script(play)
    assert it.get().code == "authentication_unavailable"


def test_a_provider_that_is_down_stops_no_token_that_is_known(scene: Any) -> None:
    it = scene()
    assert it.get().status == 200
    it.provider.stop()
    assert it.get().status == 200
    assert it.get(headers={"Authorization": "Bearer other"}).code == "authentication_unavailable"
    it.gateway.advance(61)
    assert it.get().code == "authentication_unavailable"


# ---- what is remembered


def test_a_good_token_is_remembered_until_its_time_or_its_expiry(scene: Any) -> None:
    it = scene(leeway="1ms")
    it.provider.answer(said({"active": True, "exp": int(time.time()) + 30}))
    assert [it.get().status for _ in range(3)] == [200] * 3
    assert len(it.provider.requests) == 1
    it.gateway.advance(31)
    assert it.get().code == "token_expired"
    it = scene()
    it.get()
    it.gateway.advance(59)
    it.get()
    assert len(it.provider.requests) == 1
    it.gateway.advance(2)
    it.get()
    assert len(it.provider.requests) == 2


def test_a_bad_token_is_remembered_for_a_while(scene: Any) -> None:
    it = scene()
    it.provider.answer(said({"active": False}))
    assert [it.get().status for _ in range(3)] == [401] * 3
    assert len(it.provider.requests) == 1
    it.gateway.advance(6)
    it.get()
    assert len(it.provider.requests) == 2


def test_a_flood_of_tokens_does_not_push_out_one_that_is_used(scene: Any) -> None:
    it = scene(cache={"entries": 64})
    it.get()
    for number in range(200):
        it.get(headers={"Authorization": f"Bearer flood-{number}"})
        it.get()
    assert len(it.provider.requests) == 201


def test_requests_with_one_token_ask_once_over_all_workers(scene: Any) -> None:
    it = scene(workers=2, timeout="20s")
    go = threading.Event()

    def answer(connection: Connection) -> None:
        connection.request()
        go.wait(20)
        connection.send(said({"active": True}))
        connection.hang()

    it.provider.script(answer)
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(it.get().status)) for _ in range(8)]
    for client in clients:
        client.start()
    it.provider.wait_for_requests(1)
    eventually(lambda: in_flight(it.gateway) >= 8, "eight requests under way")
    go.set()
    for client in clients:
        client.join(20)
    assert statuses == [200] * 8
    assert len(it.provider.requests) == 1


def in_flight(gateway: RunningGateway) -> float:
    lines = [line for line in gateway.metrics().splitlines() if line.startswith("tidegate_requests_in_flight")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_when_the_client_that_asked_first_leaves_the_next_asks(scene: Any) -> None:
    it = scene(timeout="20s")
    it.provider.script(hang_before_head)
    with it.gateway.raw() as first:
        first.send(b"GET /orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer abc\r\n\r\n")
        it.provider.wait_for_requests(1)
        statuses: list[int] = []
        second = threading.Thread(
            target=lambda: statuses.append(it.get(headers={"Authorization": "Bearer abc"}).status)
        )
        second.start()
        eventually(lambda: in_flight(it.gateway) >= 2, "two requests under way")
        it.provider.script(it.provider._answer_all)
    second.join(20)
    assert statuses == [200]


def test_anonymous_callers_may_be_let_on(scene: Any) -> None:
    it = scene(optional=True)
    assert it.get(headers={}).status == 200
    it.provider.answer(said({"active": False}))
    assert it.get().status == 401


def test_a_claim_may_name_the_consumer_and_another_the_subject(gateway: StartGateway, upstream: StartUpstream) -> None:
    provider, service = upstream(), upstream().script(echo_all)
    provider.answer(said({"active": True, "client_id": "shop", "ext": {"uid": "u1"}}))

    def document(tier: str) -> dict[str, Any]:
        return {
            "services": [{"name": "service", "url": service.url}, {"name": "provider", "url": provider.url}],
            "consumers": [{"name": "shop", "tier": tier}],
            "policies": {
                "introspection": {"service": "provider", "consumer_claim": "client_id", "subject_claim": "ext.uid"},
                "request_headers": {"set": {"x-who": "{identity.subject} {consumer.name} {consumer.tier}"}},
            },
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }

    running = gateway(document("free"))
    for tier in ("free", "business"):
        # A reload is believed at once, though the token is remembered.
        running.reload(document(tier))
        fields = {name.lower(): value for name, value in running.get("/", headers=TOKEN).json()["fields"]}
        assert fields["x-who"] == f"u1 shop {tier}"


# ---- the document


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"service": None}, "`url` is missing"),
        ({"service": "nobody"}, "no service is named `nobody`"),
        ({"client_id": "a"}, "`client_secret` is missing"),
        ({"client_secret": "a"}, "`client_id` is missing"),
        ({"client_id": "a", "client_secret": "b", "bearer_token": "c"}, "exclude each other"),
        ({"bearer_token": "a\nb"}, "cannot stand in a header"),
        ({"token": ["query:x"]}, "is no place for a token"),
        ({"scopes": ["a b"]}, "is no scope"),
        ({"realm": 'a"b'}, "cannot stand in a header"),
        ({"claims_to_headers": {"sub": "host"}}, "not edited as a header"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_of_the_document(scene: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scene(**options)
    assert [found for found in caught.value.problems if problem in found.message], caught.value.problems


def test_secrets_stay_out_of_what_is_shown(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tidegate.config.redact import redacted

    monkeypatch.setenv("PROVIDER_SECRET", "hush-hush")
    it = scene(client_id="gate", client_secret="${env:PROVIDER_SECRET}")
    assert it.get().status == 200
    assert "hush" not in json.dumps(redacted(it.gateway.server.loaded.written()))
