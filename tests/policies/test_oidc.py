"""`oidc`: browsers log in at a provider, and their sessions are cookies."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt as pyjwt
import pytest
from tidegate import ConfigError
from tidegate.config.redact import redacted

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import FakeUpstream, RunningGateway, eventually
from tests.harness.gateway import Answer
from tests.identity.issuer import claims, private_key, private_pem, token
from tests.identity.provider import CLIENT, Browser, Provider, callback
from tests.policies.oidc_scene import SECRET, Scene, document

ROOT = Path(__file__).parents[2]


# ---- logging in


def test_a_navigation_is_sent_to_log_in_and_comes_back_to_where_it_was(oidc: Any) -> None:
    it = oidc()
    back = it.log_in("/orders?id=1&x=%2F")
    assert (back.status, back.headers["location"], back.headers["cache-control"]) == (
        302,
        "/orders?id=1&x=%2F",
        "no-store",
    )
    assert it.browser.go("/orders?id=1").status == 200
    assert len(it.provider.forms) == 1


def test_the_request_is_what_the_specification_asks_for(oidc: Any) -> None:
    it = oidc(
        scopes=["profile", "offline_access"],
        parameters={"prompt": "select account"},
        public_url="https://app.example.com",
    )
    sent = it.browser.go("/")
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert asked["scope"] == ["openid profile offline_access"]
    assert asked["redirect_uri"] == ["https://app.example.com/oauth2/callback"]
    assert asked["prompt"] == ["select account"]
    assert all(len(asked[name][0]) == 43 for name in ("state", "nonce", "code_challenge"))
    again = parse_qs(urlsplit(it.browser.go("/").headers["location"]).query)
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_only_navigations_are_sent_to_log_in(oidc: Any) -> None:
    it = oidc()
    for method, headers, status in [
        ("GET", {"sec-fetch-mode": "navigate"}, 302),
        ("POST", {"sec-fetch-mode": "navigate"}, 302),
        ("GET", {"accept": "text/html,*/*"}, 302),
        ("GET", {"accept": "application/json"}, 401),
        ("GET", {}, 401),
        ("POST", {"accept": "text/html"}, 401),
        ("GET", {"accept": "text/html", "sec-fetch-mode": "cors"}, 401),
        ("GET", {"accept": "text/html", "sec-fetch-mode": "no-cors"}, 401),
    ]:
        answer = it.gateway.request(method, "/", headers=headers)
        assert answer.status == status, (method, headers)
        if status == 401:
            assert (answer.code, answer.headers["www-authenticate"]) == ("missing_credentials", "Cookie")
    assert not it.service.requests


def test_cookies_are_out_of_reach_and_say_nothing(oidc: Any) -> None:
    it = oidc()
    it.log_in()
    assert set(it.browser.cookies) == {"__Host-tidegate", "__Host-tidegate.seen"}
    for line in it.browser.set:
        assert line.startswith("__Host-tidegate")
        assert line.endswith("; HttpOnly; Secure; SameSite=Lax")
        assert "; Path=/; Max-Age=" in line
        assert "ada" not in line


def test_cookies_without_secure_are_for_plain_loopback_that_the_document_allows(oidc: Any) -> None:
    it = oidc(insecure_cookies=True)
    it.log_in()
    assert set(it.browser.cookies) == {"tidegate", "tidegate.seen"}
    assert not any("Secure" in line for line in it.browser.set)


def test_the_service_gets_claims_and_no_cookies_of_the_session(oidc: Any) -> None:
    it = oidc(
        claims_to_headers={"sub": "x-user-id", "roles": "x-roles", "name": "x-name"},
        policies={"request_headers": {"set": {"x-who": "{identity.subject} {claims.email} {identity.method}"}}},
    )
    it.provider.claims = {"roles": ["a", "b"], "email": "ada@example.com", "name": "A\r\nx-evil: 1"}
    it.log_in()
    it.browser.cookies["theme"] = "dark"
    seen = it.seen()
    assert (seen["x-user-id"], seen["x-roles"]) == (["ada"], ["a,b"])
    assert seen["x-who"] == ["ada ada@example.com oidc"]
    assert seen["cookie"] == ["theme=dark"]
    assert [text.encode("latin-1").decode() for text in seen["x-name"]] == ["A\ufffd\ufffdx-evil: 1"]
    assert "authorization" not in seen


def test_a_client_cannot_set_what_the_session_says(oidc: Any) -> None:
    it = oidc(claims_to_headers={"sub": "x-user-id"})
    it.log_in()
    for path in ("/api", "/open"):
        answer = it.browser.fetch(path, X_User_Id="root", x__user__id="root")
        names = [name.lower() for name, value in answer.json()["fields"] if value == "root"]
        assert names == ["x--user--id"]


def test_the_access_token_is_forwarded_where_it_is_told_to(oidc: Any) -> None:
    it = oidc(forward="access_token")
    it.provider.token = {"access_token": "abc"}
    it.log_in()
    answer = it.browser.fetch("/api", authorization="Bearer forged")
    assert [value for name, value in answer.json()["fields"] if name.lower() == "authorization"] == ["Bearer abc"]


def test_a_large_session_takes_several_cookies_and_a_larger_one_is_refused(oidc: Any) -> None:
    it = oidc(claims_to_headers={"sub": "x-user-id"})
    it.provider.claims = {"groups": ["g" * 100 for _ in range(60)]}
    it.log_in()
    parts = [name for name in it.browser.cookies if name != "__Host-tidegate.seen"]
    assert len(parts) == 4
    seen = it.seen()
    assert (seen["x-user-id"], "cookie" in seen) == (["ada"], False)
    it.provider.claims = {"groups": ["g" * 100 for _ in range(200)]}
    it.browser.cookies.clear()
    assert (it.log_in().status, it.browser.go("/").status) == (503, 302)


def test_any_gateway_with_the_secret_takes_a_login_and_a_session(oidc: Any) -> None:
    one, two = oidc(), oidc()
    sent = one.browser.go("/orders")
    two.browser.cookies = one.browser.cookies
    assert two.browser.go(callback(one.provider.log_in(sent.headers["location"]))).status == 302
    assert one.browser.fetch().status == 200


def test_secrets_rotate(oidc: Any) -> None:
    old = oidc()
    old.log_in()
    both = oidc(secret=["f" * 32, SECRET])
    both.browser.cookies = old.browser.cookies
    assert both.browser.fetch().status == 200
    other = oidc(secret="f" * 32)
    other.browser.cookies = old.browser.cookies
    assert other.browser.fetch().status == 401


def test_a_consumer_is_found_by_a_claim(
    gateway: StartGateway, upstream: StartUpstream, openid_provider: Provider
) -> None:
    described = document(
        openid_provider,
        upstream().script(echo_all),
        {"request_headers": {"set": {"x-c": "{consumer.tier}"}}},
        consumer_claim="sub",
    )
    it = Scene(gateway({**described, "consumers": [{"name": "ada", "tier": "gold"}]}), openid_provider, FakeUpstream())
    it.log_in()
    assert it.seen()["x-c"] == ["gold"]


def test_anonymous_callers_go_on_where_they_may_and_log_in_by_the_path(oidc: Any) -> None:
    it = oidc(optional=True, claims_to_headers={"sub": "x-user-id"})
    assert it.browser.go("/").status == 200
    it.browser.cookies["__Host-tidegate"] = "1forged"
    assert "cookie" not in it.seen()
    back = it.log_in("/oauth2/login?return_to=/cart")
    assert back.headers["location"] == "/cart"
    assert it.seen()["x-user-id"] == ["ada"]


@pytest.mark.parametrize(
    ("options", "authorization", "form"),
    [
        ({}, True, {}),
        ({"client_auth": "post"}, False, {"client_id": CLIENT[0], "client_secret": CLIENT[1]}),
        ({"client_secret": None}, False, {"client_id": CLIENT[0]}),
    ],
)
def test_the_gateway_shows_who_it_is(
    oidc: Any, options: dict[str, Any], authorization: bool, form: dict[str, str]
) -> None:
    it = oidc(**options)
    assert it.log_in().status == 302
    sent = it.provider.forms[0]
    assert sent.keys() == {"grant_type", "code", "redirect_uri", "code_verifier", *form}
    assert form.items() <= sent.items()
    # RFC 6749 section 2.3.1: `gate:s3cret%2B%2F%20%26`.
    basic = "Basic Z2F0ZTpzM2NyZXQlMkIlMkYlMjAlMjY="
    assert it.provider.headers[0].get("authorization") == (basic if authorization else None)


def test_the_gateway_can_show_a_signature_instead_of_a_secret(oidc: Any) -> None:
    key = private_key("ES256")
    it = oidc(client_secret=None, client_key=private_pem(key))
    assert it.log_in().status == 302
    assertion = it.provider.forms[0]["client_assertion"]
    shown = pyjwt.decode(assertion, key.public_key(), ["ES256"], audience=it.provider.url)
    assert (shown["iss"], shown["sub"]) == (CLIENT[0], CLIENT[0])
    assert shown["exp"] - shown["iat"] == 60


def test_a_provider_without_discovery_is_described_by_the_document(oidc: Any, openid_provider: Provider) -> None:
    it = oidc(
        jwks=f"{openid_provider.url}/jwks",
        authorization_endpoint=f"{openid_provider.url}/authorize?tenant=a",
        token_endpoint=f"{openid_provider.url}/token",
    )
    assert it.log_in().status == 302
    assert "/.well-known/openid-configuration" not in it.provider.asked


def test_a_token_endpoint_elsewhere_must_be_written(oidc: Any) -> None:
    it = oidc(on_start="lazy")
    it.provider.discovery = {"token_endpoint": "http://127.0.0.2:1/token"}
    assert it.log_in().code == "authentication_unavailable"
    assert not it.provider.forms


# ---- requests that change something


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://shop.example.com", "sec-fetch-site": "same-site"}, 200),
    ],
)
def test_a_request_that_changes_something_comes_from_our_own_page(
    oidc: Any, headers: dict[str, str], status: int
) -> None:
    it = oidc(trusted_origins="https://shop.example.com")
    it.log_in()
    answer = it.browser.request("POST", "/orders", headers)
    assert answer.status == status
    if status == 403:
        assert answer.code == "csrf_failed"


def test_logging_out_takes_every_cookie_back_and_goes_to_the_provider(oidc: Any) -> None:
    it = oidc(after_logout="/bye")
    it.log_in()
    answer = it.browser.request("POST", "/oauth2/logout", {"sec-fetch-site": "same-origin"})
    assert (answer.status, it.browser.cookies) == (303, {})
    location = answer.headers["location"]
    asked = parse_qs(urlsplit(location).query)
    host, port = it.gateway.address()
    assert location.startswith(f"{it.provider.url}/logout?")
    assert asked["post_logout_redirect_uri"] == [f"http://{host}:{port}/bye"]
    assert (asked["client_id"], asked["id_token_hint"][0].count(".")) == ([CLIENT[0]], 2)
    assert it.browser.fetch().status == 401
    assert it.browser.request("POST", "/oauth2/logout").headers["location"] == "/bye"


def test_logging_out_can_stay_here(oidc: Any) -> None:
    it = oidc(end_session_endpoint="off")
    it.log_in()
    assert it.browser.request("GET", "/oauth2/logout", {"sec-fetch-site": "same-origin"}).headers["location"] == "/"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"sec-fetch-site": "cross-site"}),
        ("POST", {"sec-fetch-site": "cross-site"}),
        ("POST", {"origin": "https://evil.example"}),
    ],
)
def test_nobody_else_logs_a_user_out(oidc: Any, method: str, headers: dict[str, str]) -> None:
    it = oidc()
    it.log_in()
    assert it.browser.request(method, "/oauth2/logout", headers).code == "csrf_failed"
    assert it.browser.fetch().status == 200


# ---- how long a session lasts


def test_a_session_ends_when_it_is_old(oidc: Any) -> None:
    it = oidc(lifetime="1h", idle="2h")
    it.provider.expires_in = 100_000
    it.log_in()
    it.gateway.advance(3590)
    assert it.browser.fetch().status == 200
    it.gateway.advance(20)
    assert it.browser.fetch().status == 401
    assert it.browser.go("/").status == 302


def test_a_session_ends_when_it_is_not_used_and_goes_on_while_it_is(oidc: Any) -> None:
    it = oidc(idle="10m")
    it.provider.expires_in = 100_000
    it.log_in()
    for _ in range(4):
        it.gateway.advance(400)
        assert it.browser.fetch().status == 200
    written = len(it.browser.set)
    assert it.browser.fetch().status == 200
    assert len(it.browser.set) == written
    it.gateway.advance(601)
    assert it.browser.fetch().status == 401


def test_an_access_token_is_renewed_before_its_end(oidc: Any) -> None:
    it = oidc(forward="access_token", claims_to_headers={"email": "x-email"})
    it.provider.claims = {"email": "old"}
    it.log_in()
    before = it.seen()
    it.provider.claims = {"email": "new"}
    it.gateway.advance(280)
    after = it.seen()
    assert before["authorization"] != after["authorization"]
    assert (before["x-email"], after["x-email"]) == (["old"], ["new"])
    assert it.seen()["authorization"] == after["authorization"]
    assert it.provider.asked["refresh_token"] == 1


# A cache that many share would hand the session of one user to the next.
def test_an_answer_that_brings_cookies_is_for_nobody_else(oidc: Any) -> None:
    it = oidc(policies={"response_headers": {"set": {"cache-control": "public, max-age=9"}}})
    it.log_in()
    for seconds, brings in ((0, False), (70, True), (220, True), (1, False)):
        it.gateway.advance(seconds)
        answer = it.browser.fetch()
        found = [value for name, value in answer.fields if name == "cache-control"]
        assert ("set-cookie" in answer.headers, found[0]) == (brings, "public, max-age=9")
        assert found[1:] == ["private"] * brings
    assert it.provider.asked["refresh_token"] == 1


# With tokens that live no longer than `refresh_before`, every request went to the provider.
def test_a_token_that_lives_shortly_is_not_renewed_with_every_request(oidc: Any) -> None:
    it = oidc(refresh_before="30s")
    it.provider.expires_in = 20
    it.log_in()
    assert [it.browser.fetch().status for _ in range(5)] == [200] * 5
    assert it.provider.asked["refresh_token"] == 0
    it.gateway.advance(11)
    assert [it.browser.fetch().status for _ in range(5)] == [200] * 5
    assert it.provider.asked["refresh_token"] == 1


def test_of_many_requests_with_an_old_token_one_refreshes(oidc: Any) -> None:
    it = oidc(workers=2, forward="access_token", idle="10h")
    it.log_in()
    it.gateway.advance(400)
    it.provider.hold.clear()
    answers: list[Answer] = []
    cookies = dict(it.browser.cookies)

    def ask() -> None:
        browser = Browser(it.gateway)
        browser.cookies = dict(cookies)
        answers.append(browser.fetch())

    clients = [threading.Thread(target=ask) for _ in range(50)]
    for client in clients:
        client.start()
    eventually(lambda: _open(it.gateway) >= 50, "fifty requests under way")
    it.provider.hold.set()
    for client in clients:
        client.join(20)
    assert [answer.status for answer in answers] == [200] * 50
    assert it.provider.asked["refresh_token"] == 1
    tokens = {value for answer in answers for name, value in answer.json()["fields"] if name.lower() == "authorization"}
    assert len(tokens) == 1
    # A request that was on its way with the old cookie is still one of them.
    assert it.browser.fetch().status == 200
    assert it.provider.asked["refresh_token"] == 1


def _open(gateway: RunningGateway) -> float:
    lines = [line for line in gateway.metrics().splitlines() if line.startswith("tidegate_requests_in_flight")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_browser_that_leaves_does_not_cut_a_refresh_off(oidc: Any) -> None:
    it = oidc(idle="10h")
    it.log_in()
    it.gateway.advance(400)
    it.provider.hold.clear()
    with it.gateway.raw() as client:
        cookies = "; ".join(f"{name}={value}" for name, value in it.browser.cookies.items())
        client.send(f"GET /api HTTP/1.1\r\nhost: a\r\ncookie: {cookies}\r\n\r\n".encode())
        eventually(lambda: _open(it.gateway) >= 1, "a request under way")
    eventually(lambda: _open(it.gateway) == 0, "the request is over")
    it.provider.hold.set()
    assert it.browser.fetch().status == 200
    assert it.provider.asked["refresh_token"] == 1


def test_a_refresh_that_is_refused_leads_to_a_login(oidc: Any) -> None:
    it = oidc(idle="10h")
    it.log_in()
    it.provider.refresh_tokens.clear()
    it.gateway.advance(400)
    assert it.browser.fetch().status == 401
    assert it.browser.go("/").status == 302
    assert it.log_in().status == 302
    assert it.browser.fetch().status == 200


def test_a_refresh_never_becomes_the_session_of_another_user(oidc: Any) -> None:
    it = oidc(idle="10h")
    it.log_in()
    it.provider.claims = {"sub": "eve"}
    it.gateway.advance(400)
    assert it.browser.fetch().status == 401


def test_while_the_provider_is_down_a_session_goes_on_as_long_as_its_token(oidc: Any) -> None:
    it = oidc(idle="10h", refresh_before="200s")
    it.log_in()
    it.provider.stop()
    it.gateway.advance(150)
    assert it.browser.fetch().status == 200
    it.gateway.advance(200)
    assert it.browser.fetch().code == "authentication_unavailable"
    it.provider.start()
    it.gateway.advance(6)
    assert it.browser.fetch().status == 200


def test_without_a_refresh_token_a_session_lasts_unless_its_token_is_needed(oidc: Any) -> None:
    it, needed = oidc(idle="10h"), oidc(idle="10h", forward="access_token", cookie="needed")
    it.provider.token = {"refresh_token": None}
    for each in (it, needed):
        each.log_in()
        each.gateway.advance(400)
    assert (it.browser.fetch().status, needed.browser.fetch().status) == (200, 401)


def test_a_login_waits_for_a_provider_that_has_not_been_found(oidc: Any) -> None:
    it = oidc(on_start="lazy")
    assert "/.well-known/openid-configuration" not in it.provider.asked
    assert it.log_in().status == 302
    assert it.browser.fetch().status == 200


def test_a_provider_that_is_down_is_told(oidc: Any, openid_provider: Provider) -> None:
    openid_provider.stop()
    it = oidc(on_start="lazy")
    assert it.browser.go("/").code == "authentication_unavailable"


def test_a_session_outlives_a_reload(gateway: StartGateway, upstream: StartUpstream, openid_provider: Provider) -> None:
    described = document(openid_provider, upstream().script(echo_all))
    it = Scene(gateway(described), openid_provider, FakeUpstream())
    it.log_in()
    it.gateway.reload({**described, "routes": described["routes"][:1]})
    assert it.browser.fetch().status == 200


# ---- the document


def test_the_example_of_the_guide_works(
    gateway: StartGateway, upstream: StartUpstream, openid_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, orders = upstream().script(echo_all), upstream().script(echo_all)
    text = (ROOT / "examples" / "browser-login" / "gateway.yaml").read_text()
    guide = re.search(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "guides" / "browser-login.md").read_text(), re.M | re.S)
    assert guide is not None
    assert text.endswith(guide[1])
    for name, value in {
        "OIDC_ISSUER": openid_provider.url,
        "OIDC_CLIENT_ID": CLIENT[0],
        "SESSION_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    running = gateway(text.replace("http://127.0.0.1:9001", pages.url).replace("http://127.0.0.1:9002", orders.url))
    browser = Browser(running)
    assert browser.fetch("/api/orders/1").status == 401
    assert browser.go("/assets/logo.svg").status == 200
    assert browser.log_in(openid_provider, "/cart").headers["location"] == "/cart"
    page, answer = browser.go("/cart"), browser.fetch("/api/orders/1")
    names = {name.lower() for name, _ in page.json()["fields"]}
    assert ("x-user-id" in names, "authorization" in names) == (True, False)
    fields = {name.lower(): value for name, value in answer.json()["fields"]}
    assert (answer.json()["target"], fields["x-user-id"]) == ("/1", "ada")
    assert fields["authorization"].startswith("Bearer access-")


def test_it_can_be_one_of_several_credentials(oidc: Any) -> None:
    it = oidc()
    options = it.gateway.server.loaded.written()["policies"]["oidc"]
    described = it.gateway.server.loaded.written()
    described["policies"] = {
        "any_of": {"oidc": options, "jwt": {"secret": SECRET, "algorithms": "HS256", "issuer": "me"}}
    }
    it.gateway.reload(described)
    by_token = token(claims(iss="me"), "HS256", None, SECRET)
    assert it.browser.fetch(authorization=f"Bearer {by_token}").status == 200
    assert it.browser.fetch().status == 401
    assert it.log_in().status == 302
    assert it.browser.fetch().status == 200


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"issuer": None}, "`issuer` is missing"),
        ({"client_id": None}, "`client_id` is missing"),
        ({"secret": None}, "`secret` is missing"),
        ({"secret": "short"}, "a secret has 32 characters or more"),
        ({"issuer": "login.example.com"}, "expected a URL"),
        ({"algorithms": ["HS256"]}, "is not an algorithm for an id_token"),
        ({"algorithms": ["none"]}, "is not an algorithm for an id_token"),
        ({"client_key": "x"}, "exclude each other"),
        ({"client_secret": None, "client_key": "x"}, "expected a private key in PEM"),
        ({"cookie": "a;b"}, "is no name for these cookies"),
        ({"after_logout": "//evil.example"}, "expected a path of this gateway"),
        ({"parameters": {"state": "x"}}, "is the gateway's own"),
        ({"jwks": "https://a.example/jwks"}, "nothing is discovered"),
        ({"callback_path": "/x", "login_path": "/x"}, "are three paths"),
        ({"claims_to_headers": {"sub": "authorization"}}, "`authorization` cannot be owned"),
        ({"scopes": ["a b"]}, "is no scope"),
        ({"service": "nowhere"}, "no service is named `nowhere`"),
    ],
)
def test_a_document_that_cannot_work_is_refused(oidc: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        oidc(**options)
    assert problem in str(refused.value)
    assert SECRET not in str(refused.value)


def test_its_paths_are_those_of_the_route_it_stands_at(
    gateway: StartGateway, upstream: StartUpstream, openid_provider: Provider
) -> None:
    described = document(openid_provider, upstream().script(echo_all))
    policy = described.pop("policies")
    route = {"name": "app", "paths": ["/app"], "service": "service", "policies": policy}
    running = gateway({**described, "routes": [route]})
    sent = Browser(running).go("/app/page")
    assert parse_qs(urlsplit(sent.headers["location"]).query)["redirect_uri"][0].endswith("/app/oauth2/callback")
    route["policies"] = {"oidc": {**policy["oidc"], "callback_path": "/elsewhere"}}
    with pytest.raises(ConfigError, match="is not below a path of this route"):
        gateway({**described, "routes": [route]})


def test_no_page_of_the_admin_shows_its_secrets(oidc: Any) -> None:
    it = oidc(secret=[SECRET, "f" * 32])
    shown = json.dumps(redacted(it.gateway.server.loaded.written()))
    assert not any(secret in shown for secret in (SECRET, "f" * 32, CLIENT[1]))
