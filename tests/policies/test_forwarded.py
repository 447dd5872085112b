"""`forwarded`: what a service is told about the client and the way of the request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.echo import Start, ask


def test_a_service_is_told_who_asked(start: Start) -> None:
    got = ask(start({"forwarded": {}}), headers=[("Host", "shop.example")]).echo
    assert got.one("x-forwarded-for") == "127.0.0.1"
    assert got.one("x-forwarded-proto") == "http"
    assert got.one("x-forwarded-host") == "shop.example"
    assert got.one("x-forwarded-port") == "80"
    assert got.one("via") == "1.1 tidegate"
    assert "forwarded" not in got.names()


def test_it_is_on_without_being_named(start: Start) -> None:
    assert ask(start({})).echo.one("x-forwarded-for") == "127.0.0.1"


def test_the_port_is_the_one_in_host(start: Start) -> None:
    got = ask(start({}), headers=[("Host", "shop.example:8443")]).echo
    assert (got.one("x-forwarded-host"), got.one("x-forwarded-port")) == ("shop.example:8443", "8443")


def test_the_word_of_a_client_is_replaced(start: Start) -> None:
    sent = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=6.6.6.6")]
    got = ask(start({"forwarded": {"forwarded": True}}), headers=[("Host", "shop.example"), *sent]).echo
    assert got.all("x-forwarded-for") == ["127.0.0.1"]
    assert got.all("x-forwarded-proto") == ["http"]
    assert got.all("forwarded") == ["for=127.0.0.1;host=shop.example;proto=http"]


def test_the_word_of_a_trusted_proxy_is_continued(start: Start) -> None:
    sent = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-For", "7.7.7.7, 8.8.8.8"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "outside.example"),
        ("X-Forwarded-Port", "443"),
        ("Forwarded", "for=6.6.6.6"),
    ]
    got = ask(start({"forwarded": {"forwarded": True}}, trusted_proxies=["127.0.0.1"]), headers=sent).echo
    assert got.all("x-forwarded-for") == ["6.6.6.6, 7.7.7.7, 8.8.8.8, 127.0.0.1"]
    assert got.all("x-forwarded-proto") == ["https"]
    assert got.all("x-forwarded-host") == ["outside.example"]
    assert got.all("x-forwarded-port") == ["443"]
    assert got.one("forwarded").startswith("for=6.6.6.6, for=127.0.0.1;")


@pytest.mark.parametrize("host", ["shop.example:8443", "[2001:db8::1]"])
def test_a_host_that_is_no_token_is_quoted_in_forwarded(start: Start, host: str) -> None:
    got = ask(start({"forwarded": {"forwarded": True}}), headers=[("Host", host)]).echo
    assert got.one("forwarded") == f'for=127.0.0.1;host="{host}";proto=http'


def test_an_ipv6_client_is_quoted_in_brackets_in_forwarded(start: Start) -> None:
    gateway = start({"forwarded": {"forwarded": True}}, address="[::1]:0")
    got = ask(gateway, headers=[("Host", "a.example")]).echo
    assert got.one("forwarded") == 'for="[::1]";host=a.example;proto=http'
    assert got.one("x-forwarded-for") == "::1"


def test_a_client_on_a_unix_socket_has_no_address(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "gateway.socket"
    gateway = start({"forwarded": {"forwarded": True}}, address=f"unix:{path}", trusted_proxies=["unix:"])
    got = ask(gateway, headers=[("X-Forwarded-For", "1.2.3.4")], unix=path).echo
    assert got.all("x-forwarded-for") == ["1.2.3.4"]
    assert got.one("forwarded") == "for=unknown;host=gateway.example;proto=http"
    told = {"request_headers": {"set": {"x-client": "{client.ip}"}}}
    untrusted = start(told, address=f"unix:{path}2", trusted_proxies=["0.0.0.0/0", "::/0"])
    got = ask(untrusted, headers=[("X-Forwarded-For", "1.2.3.4")], unix=Path(f"{path}2")).echo
    assert got.all("x-forwarded-for") == []
    assert got.one("x-client") == "unix:"


def test_via_is_appended_on_request_and_answer(start: Start) -> None:
    answer = ask(start({}), target="/via", headers=[("Via", "1.0 fred")])
    assert answer.echo.all("via") == ["1.0 fred", "1.1 tidegate"]
    assert answer.all("via") == ["1.1 upstream", "1.1 tidegate"]


def test_via_names_the_version_by_which_the_request_came(start: Start) -> None:
    assert ask(start({}), version="HTTP/1.0").echo.one("via") == "1.0 tidegate"


def test_an_answer_of_the_gateways_own_has_come_by_no_other_hop(start: Start) -> None:
    assert ask(start({}), target="/nowhere-at-all").all("via") == []


def test_each_part_can_be_left_out(start: Start) -> None:
    got = ask(start({"forwarded": {"x_forwarded": False, "via": False}})).echo
    assert got.names() == ["host"]
