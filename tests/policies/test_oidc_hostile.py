"""`oidc`: what is not the provider's answer, the user's cookie or a way back."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.identity.issuer import private_key
from tests.identity.provider import Browser, callback

# ---- answers that must not be believed


def test_an_answer_needs_the_state_of_this_browser(oidc: Any) -> None:
    it = oidc()
    sent = it.browser.go("/")
    good = it.provider.log_in(sent.headers["location"])
    other = Browser(it.gateway)
    stolen = it.provider.log_in(other.go("/").headers["location"])
    for parameters in (
        {"code": good["code"]},
        {**good, "state": "x"},
        {**good, "state": good["state"] + "A"},
        {**good, "state": stolen["state"]},
        {},
    ):
        answer = it.browser.go(callback(parameters))
        assert (answer.status, answer.code) == (403, "csrf_failed")
    assert Browser(it.gateway).go(callback(good)).code == "csrf_failed"
    twice = it.browser.go(f"{callback(good)}&state={good['state']}")
    assert twice.code == "invalid_credentials"
    assert not it.provider.forms
    assert it.browser.go(callback(good)).status == 302


def test_a_login_ends_after_ten_minutes(oidc: Any) -> None:
    it = oidc()
    good = it.provider.log_in(it.browser.go("/").headers["location"])
    it.gateway.advance(601)
    assert it.browser.go(callback(good)).code == "csrf_failed"


def test_a_code_is_good_once(oidc: Any) -> None:
    it = oidc()
    sent = it.browser.go("/")
    before, good = dict(it.browser.cookies), it.provider.log_in(sent.headers["location"])
    assert it.browser.go(callback(good)).status == 302
    assert it.browser.go(callback(good)).code == "csrf_failed"
    it.browser.cookies = before
    assert it.browser.go(callback(good)).code == "invalid_credentials"


def test_an_answer_of_another_provider_is_refused(oidc: Any) -> None:
    it = oidc()
    assert it.log_in(iss="https://evil.example").code == "invalid_credentials"
    assert it.log_in(iss=it.provider.url).status == 302
    it.browser.cookies.clear()
    strict = oidc(on_start="lazy", cookie="other")
    strict.provider.discovery = {"authorization_response_iss_parameter_supported": True}
    assert strict.log_in().code == "invalid_credentials"
    assert strict.log_in(iss=it.provider.url).status == 302


def test_an_error_of_the_provider_is_told_in_the_log_only(oidc: Any) -> None:
    it = oidc()
    answer = it.log_in(error="access_denied", error_description="<script>")
    assert (answer.code, "access_denied" in answer.text) == ("invalid_credentials", False)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "x"},
        {"nonce": None},
        {"nonce": 1},
        {"aud": "other"},
        {"aud": ["gate", "other"]},
        {"aud": ["gate", "other"], "azp": "other"},
        {"azp": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_an_id_token_that_is_not_for_this_login_is_refused(oidc: Any, claims: dict[str, Any]) -> None:
    it = oidc()
    it.provider.claims = claims
    assert it.log_in().code == "invalid_credentials"
    assert it.browser.fetch().status == 401


@pytest.mark.parametrize(
    "sign",
    [{"key": private_key("RS256", 1)}, {"algorithm": "ES256"}, {"kid": "unknown", "key": private_key("RS256", 1)}],
)
def test_an_id_token_that_the_provider_has_not_signed_is_refused(oidc: Any, sign: dict[str, Any]) -> None:
    it = oidc()
    it.provider.sign = sign
    assert it.log_in().code == "invalid_credentials"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((400, '{"error":"invalid_grant"}'), "invalid_credentials"),
        ((401, '{"error":"invalid_client"}'), "authentication_unavailable"),
        ((500, "oops"), "authentication_unavailable"),
        ((200, "oops"), "authentication_unavailable"),
        ((200, "[]"), "authentication_unavailable"),
        ((200, '{"access_token":"a"}'), "authentication_unavailable"),
        ((200, '{"id_token":"a.b.c"}'), "invalid_credentials"),
        ((200, '{"id_token":1}'), "authentication_unavailable"),
        ((200, json.dumps({"id_token": "x" * 100_000})), "authentication_unavailable"),
        ((302, ""), "authentication_unavailable"),
    ],
)
def test_an_answer_of_the_token_endpoint_that_is_none_is_refused(oidc: Any, answer: Any, code: str) -> None:
    it = oidc()
    it.provider.answer = answer
    assert it.log_in().code == code


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/%0d%0aset-cookie:a=1",
        "/\t/evil.example",
        "/a b",
        "/oauth2/logout",
        "",
        "x" * 3000,
    ],
)
def test_there_is_no_way_back_to_another_place(oidc: Any, target: str) -> None:
    it = oidc()
    query = urlencode({"return_to": target}) if "%" not in target else f"return_to={target}"
    back = it.log_in(f"/oauth2/login?{query}")
    assert (back.status, back.headers["location"]) == (302, "/")


# A script of a sibling origin sends a HEAD with `no-cors`, and its cookies go along: same site.
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET", "POST"])
def test_a_script_of_a_sibling_origin_logs_nobody_out(oidc: Any, method: str) -> None:
    it = oidc()
    it.log_in()
    headers = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}
    assert it.browser.request(method, "/oauth2/logout", headers).status == 403
    assert it.browser.fetch().status == 200


def test_a_path_that_looks_like_a_host_is_no_way_out(oidc: Any) -> None:
    it = oidc()
    assert it.log_in("//evil.example/a").headers["location"] == "/evil.example/a"


@pytest.mark.parametrize("cookie", ["", "1", "9", "0abc", "1abc", "2abc", "1" + "A" * 3000, "é", "5" + "A" * 3600])
def test_a_forged_cookie_is_no_session(oidc: Any, cookie: str) -> None:
    it = oidc()
    it.browser.cookies = {"__Host-tidegate": cookie}
    assert it.browser.fetch().status == 401


def test_a_cookie_that_was_changed_is_no_session(oidc: Any) -> None:
    it = oidc()
    it.log_in()
    good = dict(it.browser.cookies)
    session = good["__Host-tidegate"]
    for changed in (
        session[:-1],
        session[:1] + session[2:],
        session[:40] + ("A" if session[40] != "A" else "B") + session[41:],
        session + "AAAA",
    ):
        it.browser.cookies = {**good, "__Host-tidegate": changed}
        assert it.browser.fetch().status == 401
    it.browser.cookies = {name: value for name, value in good.items() if name != "__Host-tidegate.seen"}
    assert it.browser.fetch().status == 401
    it.browser.cookies = {**good, "__Host-tidegate.seen": good["__Host-tidegate"][1:]}
    assert it.browser.fetch().status == 401
    it.browser.cookies = good
    assert it.browser.fetch().status == 200


def test_cookies_of_one_use_are_good_for_no_other(oidc: Any) -> None:
    it, other = oidc(), oidc(cookie="other")
    it.log_in()
    other.browser.cookies = {
        f"__Host-other{name.removeprefix('__Host-tidegate')}": value for name, value in it.browser.cookies.items()
    }
    assert other.browser.fetch().status == 401


def test_logins_that_are_begun_leave_a_bounded_number_of_cookies(oidc: Any) -> None:
    it = oidc()
    for _ in range(12):
        it.browser.go("/")
    assert len(it.browser.cookies) <= 5
