"""`csrf`: no other site acts in a user's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tidegate.config import load, redacted

from tests.echo import Answer, EchoGateway, Fields, Start, ask
from tests.policies.documents import refusal

OWN = "https://gateway.example"
SHOP = "https://shop.example"
EVIL = "https://evil.example"
SITE = "Sec-Fetch-Site"
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(SITE, "same-origin")], 200),
        ([(SITE, "none")], 200),
        ([(SITE, "same-site")], 403),
        ([(SITE, "cross-site")], 403),
        ([(SITE, "something-new")], 403),
        ([(SITE, "same-origin"), (SITE, "cross-site")], 403),
        ([(SITE, "cross-site"), ("Origin", SHOP)], 200),
        ([(SITE, "cross-site"), ("Origin", EVIL)], 403),
        ([(SITE, "same-origin"), ("Origin", OWN)], 200),
        # Browsers before 2023 say only this.
        ([("Origin", OWN)], 200),
        ([("Origin", OWN), ("Origin", EVIL)], 403),
        ([("Origin", SHOP), ("Origin", EVIL)], 403),
        ([("Origin", "http://gateway.example")], 200),
        ([("Origin", "https://GATEWAY.example")], 200),
        ([("Origin", SHOP)], 200),
        ([("Origin", EVIL)], 403),
        ([("Origin", "null")], 403),
        ([("Origin", "https://gateway.example:8443")], 403),
        ([("Origin", "https://gateway.example.evil.example")], 403),
        ([("Origin", "ftp://gateway.example")], 403),
        # No browser at all.
        ([], 200),
    ],
)
def test_what_a_browser_says_decides(start: Start, headers: Fields, status: int) -> None:
    answer = ask(start({"csrf": {"trusted_origins": [SHOP]}}), "POST", headers=headers)
    assert answer.status == status
    if status == 403:
        assert answer.json()["code"] == "csrf_failed"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_that_change_nothing_pass(start: Start, method: str) -> None:
    assert ask(start({"csrf": {}}), method, headers=[(SITE, "cross-site"), ("Origin", EVIL)]).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
def test_all_other_methods_do_not(start: Start, method: str) -> None:
    assert ask(start({"csrf": {}}), method, headers=[(SITE, "cross-site")]).status == 403


def test_opening_a_websocket_is_no_harmless_get(start: Start) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    gateway = start({"csrf": {}})
    for headers, refused in (([("Origin", EVIL)], True), ([("Origin", OWN)], False), ([(SITE, "cross-site")], True)):
        answer = ask(gateway, headers=[*upgrade, *headers])
        assert (answer.status == 403) is refused


def test_an_origin_over_plain_text_is_not_ours_over_tls(start: Start) -> None:
    gateway = start({"csrf": {}}, trusted_proxies=["127.0.0.1"])
    tls = [("X-Forwarded-Proto", "https")]
    assert ask(gateway, "POST", headers=[*tls, ("Origin", OWN)]).status == 200
    assert ask(gateway, "POST", headers=[*tls, ("Origin", "http://gateway.example")]).status == 403


def test_behind_a_proxy_the_host_is_the_one_that_the_client_asked_for(start: Start) -> None:
    headers = [
        ("Host", "inside.example"),
        ("X-Forwarded-Host", "outside.example"),
        ("Origin", "https://outside.example"),
    ]
    assert ask(start({"csrf": {}}, trusted_proxies=["127.0.0.1"]), "POST", headers=headers).status == 200
    assert ask(start({"csrf": {}}), "POST", headers=headers).status == 403


# ---- tokens


def cookie_of(answer: Answer, name: str = "__Host-csrf") -> str:
    (line,) = answer.all("set-cookie")
    pair, *attributes = line.split("; ")
    assert pair.startswith(f"{name}=")
    assert attributes == ["Path=/", "Secure", "SameSite=Lax"]
    return pair.partition("=")[2]


def post(gateway: EchoGateway, cookie: str, *shown: str, session: str = "") -> int:
    headers = [("Cookie", f"a=b; __Host-csrf={cookie}{session and f'; sid={session}'}")]
    return ask(gateway, "POST", headers=[*headers, *(("X-CSRF-Token", token) for token in shown)]).status


def test_a_token_is_given_once_and_asked_for(start: Start) -> None:
    gateway = start({"csrf": {"token": {"secret": SECRET}}})
    token = cookie_of(ask(gateway))
    assert post(gateway, token, token) == 200
    assert post(gateway, token) == 403
    assert post(gateway, token, token[:-1] + ("0" if token[-1] != "0" else "1")) == 403
    assert post(gateway, token, token, token) == 403
    assert ask(gateway, "POST", headers=[("X-CSRF-Token", token)]).status == 403
    assert ask(gateway, headers=[("Cookie", f"__Host-csrf={token}")]).all("set-cookie") == []
    assert cookie_of(ask(gateway, headers=[("Cookie", "__Host-csrf=old")])) != token


# A cache that many share would hand one client's token to all.
def test_an_answer_with_a_token_is_for_nobody_else(start: Start) -> None:
    gateway = start(
        {"csrf": {"token": {"secret": SECRET}}, "response_headers": {"set": {"cache-control": "public, max-age=9"}}}
    )
    answer = ask(gateway)
    assert answer.all("cache-control") == ["public, max-age=9", "private"]
    again = ask(gateway, headers=[("Cookie", f"__Host-csrf={cookie_of(answer)}")])
    assert again.all("cache-control") == ["public, max-age=9"]


@pytest.mark.parametrize("made", ["", "x", "=", ".", "a" * 97, "0" * 32 + "." + "0" * 64, "\u00e9" * 97])
def test_a_token_that_we_did_not_make_is_none_even_in_both_places(start: Start, made: str) -> None:
    assert post(start({"csrf": {"token": {"secret": SECRET}}}), made, made) == 403


def test_another_secret_makes_other_tokens(start: Start) -> None:
    token = cookie_of(ask(start({"csrf": {"token": {"secret": "f" * 32}}})))
    assert post(start({"csrf": {"token": {"secret": SECRET}}}), token, token) == 403


def test_a_token_is_good_for_its_session_only(start: Start) -> None:
    gateway = start({"csrf": {"token": {"secret": SECRET, "session_cookie": "sid"}}})
    token = cookie_of(ask(gateway, headers=[("Cookie", "sid=one")]))
    assert post(gateway, token, token, session="one") == 200
    assert post(gateway, token, token, session="two") == 403
    assert post(gateway, token, token) == 403


def test_the_token_does_not_replace_the_other_check(start: Start) -> None:
    gateway = start({"csrf": {"token": {"secret": SECRET}}})
    token = cookie_of(ask(gateway))
    headers = [("Cookie", f"__Host-csrf={token}"), ("X-CSRF-Token", token), (SITE, "cross-site")]
    assert ask(gateway, "POST", headers=headers).status == 403


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trusted_origins": ["*"]}, "expected an origin"),
        ({"trusted_origins": ["https://*.shop.example"]}, "expected one origin"),
        ({"trusted_origins": ["shop.example"]}, "write `https://shop.example`"),
        ({"token": {"secret": "short"}}, "32 characters or more"),
        ({"token": {}}, "`secret` is missing"),
        ({"token": {"secret": SECRET, "cookie": "a b"}}, "not the name of a cookie"),
    ],
)
def test_a_document_that_protects_nobody_does_not_load(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, {"csrf": options})


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"policies": {"csrf": {"token": {"secret": SECRET}}}}))
    assert SECRET not in json.dumps(redacted(load(file).written()))
