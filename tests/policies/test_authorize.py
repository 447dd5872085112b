"""`authorize`: who may do what."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tidegate.store.secret import digest

from tests.conftest import StartGateway, StartUpstream
from tests.echo import Start, ask
from tests.harness import Connection, RunningGateway
from tests.policies.documents import refusal


@pytest.mark.parametrize(
    ("rules", "statuses"),
    [
        # GET, HEAD, POST
        ({"methods": "GET"}, (200, 200, 403)),
        ({"methods": ["post"]}, (403, 403, 200)),
        ({"methods": "HEAD"}, (403, 200, 403)),
        ({"rules": [{"methods": "POST", "deny": True}, {"when": "true"}]}, (200, 200, 403)),
        ({"rules": [{"when": "true"}, {"methods": "POST", "deny": True}]}, (200, 200, 200)),
        ({"rules": [{"methods": "GET", "when": "false"}, {"methods": "POST"}]}, (403, 403, 200)),
        ({"when": "false"}, (403, 403, 403)),
        ({"roles": "admin"}, (403, 403, 403)),
        ({"claims": {"sub": {"present": True}}}, (403, 403, 403)),
        ({"consumers": "ada"}, (403, 403, 403)),
    ],
)
def test_the_first_rule_that_holds_decides_and_none_is_a_refusal(
    start: Start, rules: dict[str, Any], statuses: tuple[int, ...]
) -> None:
    gateway = start({"authorize": rules})
    assert tuple(ask(gateway, method).status for method in ("GET", "HEAD", "POST")) == statuses


def test_the_refusal_does_not_say_which_rule_it_was(start: Start) -> None:
    answer = ask(start({"authorize": {"rules": [{"name": "secret-project", "deny": True, "methods": "GET"}]}}))
    assert answer.status == 403
    assert answer.json()["code"] == "forbidden"
    assert b"secret-project" not in answer.body


ENTRIES = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(tmp_path: Path) -> tuple[dict[str, Any], ENTRIES]:
    file = tmp_path / "access.log"

    def entries() -> list[dict[str, Any]]:
        deadline = time.monotonic() + 10
        while not (file.exists() and file.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return [json.loads(line) for line in file.read_text().splitlines()]

    return {"access_log": {"file": str(file)}}, entries


@pytest.mark.parametrize(
    ("rules", "rule", "detail"),
    [
        ([{"name": "no-get", "deny": True, "methods": "GET"}], "no-get", "the rule denies"),
        ([{"methods": "POST"}, {"deny": True, "methods": "GET"}], "2", "the rule denies"),
        ([{"name": "post", "methods": "POST"}], None, "no rule allows it"),
        ([{"name": "sub", "when": "claims.sub == 'ada'"}, {"when": "true"}], "sub", "there is no `sub`"),
        ([{"name": "text", "when": "request.path"}], "text", "the value is of type string, not bool"),
        # A key that is looked up may be a value of the request's or the caller's.
        ([{"name": "key", "when": "{'a': true}[request.headers['x-hush']]"}], "key", "there is no such key"),
        ([{"name": "key", "when": "{'a': true}['b']"}], "key", "there is no `b`"),
    ],
)
def test_the_log_says_it(
    start: Start, log: tuple[dict[str, Any], ENTRIES], rules: list[Any], rule: str | None, detail: str
) -> None:
    changes, entries = log
    gateway = start({"authorize": {"rules": rules}}, **changes)
    assert ask(gateway, headers=[("X-Hush", "hush")]).status == 403
    (entry,) = entries()
    assert (entry.get("rule"), entry["reason"], entry["detail"]) == (rule, "forbidden", detail)


@pytest.mark.parametrize(
    "when",
    [
        "request.method == 'GET'",
        "request.path == '/a/b' && request.path.startsWith('/a')",
        "request.host == 'gateway.example' && request.scheme == 'http'",
        "request.headers['X-Version'] == '2' && request.headers.Host == 'gateway.example:80'",
        "'x-version' in request.headers && !('x-other' in request.headers)",
        "request.headers['x-twice'] == 'a, b'",
        "request.query.page == '1 2' && request.query['page'].size() == 3",
        "has(request.query.page) && !has(request.query.other)",
        "client.ip == '127.0.0.1'",
        "!has(claims.sub) && !has(consumer.name) && !has(identity.subject)",
        "request.path.matches('^/a/[a-z]+$')",
        "matches(request.path, 'b$')",
        "!request.path.matches('c')",
        "['a', 'b'].exists(part, request.path.contains(part))",
        "[1, 2, 3].filter(n, n > 1).map(n, n * 2) == [4, 6]",
        "claims.sub == 'ada' || true",
        "true || claims.sub == 'ada'",
        "int(request.headers['x-version']) in [1, 2]",
        # As deep as it may be: a worker's stack has room for it, also in a debug build.
        "size('')" + " + 1" * 38 + " == 38",
        "[1].all(x, " + "-(" * 16 + "x + 0" + ")" * 16 + " == 1)",
        "true" + " && true" * 250,
        "type(request.path) == string",
    ],
)
def test_an_expression_sees_the_request(start: Start, when: str) -> None:
    headers = [("Host", "gateway.example:80"), ("X-Version", "2"), ("X-Twice", "a"), ("X-Twice", "b")]
    assert ask(start({"authorize": {"when": when}}), target="/a/b?page=1%202&page=3", headers=headers).status == 200


@pytest.mark.parametrize(
    "when",
    [
        "claims.sub == 'ada'",
        "claims.sub == 'ada' && true",
        "claims['sub'] == 'ada'",
        "consumer.name == 'ada'",
        "!('suspended' in consumer.tags)",
        "request.headers.missing == ''",
        "request.path + 1 == '/1'",
        "request.path < 1",
        "1 / (size(request.path) - 1) == 1",
        "9223372036854775807 + size(request.path) > 0",
        "[1][size(request.path)] == 1",
        "int(request.path) == 1",
        "request.path ? true : false",
        "'true'",
        "null",
    ],
)
def test_what_cannot_be_evaluated_refuses(start: Start, when: str) -> None:
    gateway = start({"authorize": {"rules": [{"when": when}, {"when": "true"}]}})
    assert ask(gateway).status == 403


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is no rule"),
        ({"rules": []}, "there is no rule"),
        ({"rules": [{}]}, "the rule has no condition"),
        ({"rules": [{"deny": True}]}, "the rule has no condition"),
        ({"roles": "a", "rules": [{"roles": "b"}]}, "`roles` stands beside `rules`"),
        ({"roles": ["a", "b"]}, "write `{any: [...]}` for one of them"),
        ({"scopes": {"some": ["a"]}}, "expected text"),
        ({"scopes": {"all": []}}, "expected at least one value"),
        ({"claims": {"a..b": 1}}, "is not a name of a claim"),
        ({"claims": {"a": 1.5}}, "a whole number"),
        ({"rules": [{"name": "a", "roles": "b"}, {"name": "a", "roles": "b"}]}, "there is a rule `a` already"),
        ({"methods": "G T"}, "is not a method"),
        ({"when": "request.pat == '/'"}, "there is no `request.pat`; known are request.method"),
        ({"when": "requests.path == '/'"}, "there is no `requests`; known are request, client"),
        ({"when": "request == 1"}, "`request` is used by its fields"),
        ({"when": "lower(request.path) == '/'"}, "there is no function `lower`"),
        ({"when": "request.path.lower() == '/'"}, "there is no function `lower`"),
        ({"when": "request.path.contains('a', 'b')"}, "takes 2 values"),
        ({"when": "request.path.matches(request.query.pattern)"}, "a text in quotes"),
        ({"when": "request.path.matches('(')"}, "the pattern of `matches`"),
        ({"when": "request.path.matches('(a{999}){999}')"}, "KiB"),
        ({"when": "[1].all(a, [2].all(b, a < b))"}, "a loop"),
        ({"when": "google.protobuf.Duration{seconds: 1} == 1"}, "messages cannot be made"),
        ({"when": "request.path =="}, "at character"),
        ({"when": ""}, "character"),
        ({"when": "'" + "a" * 3000 + "'"}, "at most 2048 characters"),
        ({"when": "(" * 1000 + "true" + ")" * 1000}, "character"),
        ({"when": "[" * 1000 + "]" * 1000}, "character"),
        ({"when": "!" * 2001 + "true"}, ""),
        ({"when": "claims" + ".a" * 1000}, "nested more than 40 levels"),
        ({"when": "true" + " || true" * 250}, ""),
        ({"when": "size('')" + " + 1" * 400 + " == 1"}, "nested more than 40 levels"),
        ({"when": "true ? " * 200 + "true" + " : true" * 200}, "character"),
    ],
)
def test_a_policy_that_makes_no_sense_does_not_load(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, {"authorize": options})


def test_a_document_in_python_reads_as_one_in_yaml(tmp_path: Path) -> None:
    from tidegate import Authorize, Gateway, Policies, Route, Rule, load
    from tidegate.actions import respond

    rules = [Rule(name="staff", roles={"any": ["admin", "support"]}), Rule(claims={"email": {"present": True}})]
    answer = respond.Respond(status=204)
    route = Route(name="all", paths=["/"], respond=answer, policies=Policies(authorize=Authorize(rules=rules)))
    gateway = Gateway(routes=[route])
    file = tmp_path / "gateway.yaml"
    file.write_text(gateway.to_yaml())
    assert load(file).plan == gateway.load().plan


# ---- who calls


class Caller:
    """A gateway whose provider says that a token holds what the test wants: the claims stand in the token itself."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway

    def get(self, claims: dict[str, Any] | None, path: str = "/", method: str = "GET") -> Any:
        token = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        headers = {} if claims is None else {"Authorization": f"Bearer {token}"}
        return self.gateway.request(method, path, headers=headers)


def tell(connection: Connection) -> None:
    """The provider: every token is active and says of itself whose it is."""
    while (request := connection.request()) is not None:
        (token,) = parse_qs(request.body.decode())["token"]
        claims = json.loads(base64.urlsafe_b64decode(token))
        claims["list"] = [1] * claims.pop("many", 0)
        body = json.dumps({"active": True, **claims})
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        connection.send(f"{head}content-length: {len(body.encode())}\r\n\r\n{body}")


@pytest.fixture
def caller(gateway: StartGateway, upstream: StartUpstream) -> Callable[..., Caller]:
    def begin(authorize: dict[str, Any], **introspection: Any) -> Caller:
        provider = upstream().script(tell)
        policies = {"introspection": {"service": "provider", **introspection}, "authorize": authorize}
        route = {"name": "all", "paths": ["/"], "respond": {"status": 204}, "policies": policies}
        return Caller(gateway({"services": [{"name": "provider", "url": provider.url}], "routes": [route]}))

    return begin


@pytest.mark.parametrize(
    ("conditions", "claims", "allowed"),
    [
        ({"scopes": "read"}, {"scope": "write read"}, True),
        ({"scopes": "read"}, {"scope": "reader write"}, False),
        ({"scopes": "read"}, {"scp": ["read", "write"]}, True),
        ({"scopes": "read"}, {"scp": "write read"}, True),
        ({"scopes": "read"}, {"scope": "write", "scp": ["read"]}, False),
        ({"scopes": "read"}, {"scope": {"read": True}}, False),
        ({"scopes": {"all": ["read", "write"]}}, {"scope": "read write"}, True),
        ({"scopes": {"all": ["read", "write"]}}, {"scope": "read"}, False),
        ({"scopes": {"any": ["read", "write"]}}, {"scope": "write"}, True),
        ({"roles": "admin"}, {"roles": ["user", "admin"]}, True),
        ({"roles": "admin"}, {"roles": "admin"}, True),
        ({"roles": "admin"}, {"roles": "administrator"}, False),
        ({"roles": "admin"}, {"roles": {"admin": True}}, False),
        ({"roles": "admin"}, {"roles": [["admin"]]}, False),
        ({"roles": "admin"}, {"role": "admin"}, False),
        ({"roles": "admin", "roles_claim": "realm_access.roles"}, {"realm_access": {"roles": ["admin"]}}, True),
        ({"roles": "admin", "roles_claim": "realm_access.roles"}, {"roles": ["admin"]}, False),
        ({"roles": "admin", "roles_claim": "https://a.example/roles"}, {"https://a.example/roles": ["admin"]}, True),
        ({"groups": {"any": ["a", "b"]}}, {"groups": ["b"]}, True),
        ({"groups": {"all": ["a", "b"]}}, {"groups": ["b"]}, False),
        ({"claims": {"tenant": "acme", "level": 3, "vip": True}}, {"tenant": "acme", "level": 3, "vip": True}, True),
        ({"claims": {"tenant": "acme", "level": 3, "vip": True}}, {"tenant": "acme", "level": 3}, False),
        ({"claims": {"level": 3}}, {"level": "3"}, False),
        ({"claims": {"level": 3}}, {"level": 3.5}, False),
        ({"claims": {"level": "3"}}, {"level": 3}, False),
        ({"claims": {"vip": True}}, {"vip": 1}, False),
        ({"claims": {"address.country": {"any": ["DE", "AT"]}}}, {"address": {"country": "AT"}}, True),
        ({"claims": {"email": {"present": True}}}, {"email": None}, True),
        ({"claims": {"email": {"present": True}}}, {}, False),
        ({"roles": "a", "scopes": "b"}, {"roles": "a", "scope": "b"}, True),
        ({"roles": "a", "scopes": "b"}, {"roles": "a"}, False),
        ({"consumers": "ann"}, {"sub": "ann"}, False),
    ],
)
def test_conditions_on_claims(
    caller: Callable[..., Caller], conditions: dict[str, Any], claims: dict[str, Any], allowed: bool
) -> None:
    assert caller(conditions).get(claims).status == (204 if allowed else 403)


@pytest.mark.parametrize(
    ("when", "claims", "allowed"),
    [
        (
            "claims.sub == 'ann' && identity.subject == 'ann' && identity.method == 'introspection'",
            {"sub": "ann"},
            True,
        ),
        ("'admin' in claims.roles", {"roles": ["user", "admin"]}, True),
        ("'admin' in claims.roles", {"roles": "admin"}, False),
        ("'admin' in claims.realm_access.roles", {"realm_access": {"roles": ["admin"]}}, True),
        ("claims['https://a.example/x'].y[1] == 2", {"https://a.example/x": {"y": [1, 2]}}, True),
        ("has(claims.realm_access.roles)", {"realm_access": {}}, False),
        ("has(claims.a) && has(claims.a.b) && claims.a.b", {"a": {"b": True}}, True),
        ("claims.groups.exists(g, g.startsWith('team-'))", {"groups": ["x", "team-a"]}, True),
        ("claims.groups.all(g, g.size() == 1)", {"groups": ["a", "bb"]}, False),
        ("claims.level > 2 && claims.level + 1 < 10", {"level": 3}, True),
        ("claims.level > 2.5", {"level": 2.75}, True),
        ("claims.big == 18446744073709551615u", {"big": 18446744073709551615}, True),
        ("claims.nothing == null", {"nothing": None}, True),
        ("size(claims.address) == 2 && 'zip' in claims.address", {"address": {"zip": 1, "city": 2}}, True),
        ("request.path.startsWith('/tenants/' + claims.tenant + '/')", {"tenant": "acme"}, True),
        ("request.path.startsWith('/tenants/' + claims.tenant + '/')", {"tenant": "acm"}, False),
        ("claims.sub.matches('^a.n$')", {"sub": "ann"}, True),
        ("claims.name.matches('^a.n$')", {"name": ["ann"]}, False),
        ("claims.vip", {"vip": "true"}, False),
    ],
)
def test_expressions_on_claims(caller: Callable[..., Caller], when: str, claims: dict[str, Any], allowed: bool) -> None:
    assert caller({"when": when}).get(claims, "/tenants/acme/orders").status == (204 if allowed else 403)


@pytest.mark.parametrize(
    ("when", "values", "allowed"),
    [
        ("'x' in claims.list", 9_000, False),
        ("!('x' in claims.list)", 9_000, True),
        ("!('x' in claims.list)", 11_000, False),
        ("!claims.list.exists(v, v == 'x')", 900, True),
        ("!claims.list.exists(v, v == 'x')", 1_100, False),
        ("claims.list.map(v, v in claims.list).size() == 100", 100, True),
        ("claims.list.map(v, v in claims.list).size() == 900", 900, False),
    ],
)
def test_no_claim_makes_an_expression_dear(
    caller: Callable[..., Caller], when: str, values: int, allowed: bool
) -> None:
    assert caller({"when": when}).get({"many": values}).status == (204 if allowed else 403)


def test_who_has_said_nothing_is_asked_to_where_it_could_help(caller: Callable[..., Caller]) -> None:
    rules = [
        {"name": "no-delete", "deny": True, "methods": "DELETE"},
        {"name": "read", "methods": "GET"},
        {"name": "write", "methods": "POST", "when": "'w' in claims.roles"},
    ]
    gateway = caller({"rules": rules}, optional=True)
    assert gateway.get(None).status == 204
    for method, status in (("DELETE", 403), ("POST", 401), ("PUT", 401)):
        answer = gateway.get(None, method=method)
        assert answer.status == status, method
        assert bool(answer.headers.get("www-authenticate")) is (status == 401)
    assert gateway.get({"roles": ["r"]}, method="POST").status == 403
    assert gateway.get({"roles": ["w"]}, method="POST").status == 204
    assert gateway.get({"roles": ["w"]}, method="DELETE").status == 403


def test_a_deny_rule_that_cannot_be_evaluated_keeps_everybody_out(caller: Callable[..., Caller]) -> None:
    rules = [{"deny": True, "when": "claims.suspended"}, {"when": "true"}]
    gateway = caller({"rules": rules})
    assert gateway.get({"suspended": False}).status == 204
    assert gateway.get({"suspended": True}).status == 403
    assert gateway.get({}).status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tenants/acme/orders", 204),
        ("/tenants/%61cme/orders", 204),
        ("/tenants/other/../acme/orders", 204),
        ("/tenants/acme/../other/orders", 403),
        ("/tenants/acme/%2e%2e/other/orders", 403),
        ("//tenants/acme/../../tenants/other/orders", 403),
        ("/tenants/acme%2Forders", 403),
        ("/TENANTS/acme/orders", 403),
    ],
)
def test_no_spelling_of_a_path_gets_around_a_rule(caller: Callable[..., Caller], path: str, status: int) -> None:
    gateway = caller({"when": "request.path.startsWith('/tenants/' + claims.tenant + '/')"})
    assert gateway.get({"tenant": "acme"}, path).status == status


# ---- consumers

KEY = "a-key-of-some-length"


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ({"consumers": ["other", "acme"]}, True),
        ({"consumers": "Acme"}, False),
        ({"tiers": ["business", "enterprise"]}, True),
        ({"tiers": "free"}, False),
        ({"tags": "eu"}, True),
        ({"tags": {"all": ["eu", "partner"]}}, True),
        ({"tags": {"all": ["eu", "beta"]}}, False),
        ({"tags": {"any": ["beta", "partner"]}}, True),
        ({"consumers": "acme", "tiers": "free"}, False),
        ({"roles": "admin"}, False),
        ({"when": "consumer.name == 'acme' && consumer.tier == 'business' && 'eu' in consumer.tags"}, True),
        ({"when": "identity.method == 'api_key' && identity.subject == 'acme'"}, True),
        ({"when": "consumer.tags.exists(t, t == 'beta')"}, False),
    ],
)
def test_conditions_on_consumers(start: Start, conditions: dict[str, Any], allowed: bool) -> None:
    consumer = {"name": "acme", "tier": "business", "tags": ["partner", "eu"], "keys": [f"sha256:{digest(KEY)}"]}
    gateway = start({"api_key": {}, "authorize": conditions}, consumers=[consumer])
    assert ask(gateway, headers=[("X-Api-Key", KEY)]).status == (200 if allowed else 403)


def test_a_consumer_has_rules_of_its_own(start: Start) -> None:
    def consumer(name: str, **policies: Any) -> dict[str, Any]:
        return {"name": name, "keys": [f"sha256:{digest(KEY + name)}"], "policies": policies}

    consumers = [consumer("plain"), consumer("reader", authorize={"methods": "GET"})]
    gateway = start({"api_key": {}, "authorize": {"methods": ["GET", "POST"]}}, consumers=consumers)
    for name, method, status in (("plain", "POST", 200), ("reader", "GET", 200), ("reader", "POST", 403)):
        assert ask(gateway, method, headers=[("X-Api-Key", KEY + name)]).status == status
