"""Who is believed about the client."""

from __future__ import annotations

import json

import pytest

from tests.echo import Echo, Start, ask
from tests.http2.raw import Raw

FORWARDING = [
    "X-Forwarded-For",
    "x-forwarded-proto",
    "X-FORWARDED-HOST",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
]
ALIASES = ["X_Forwarded_For", "x.forwarded.for", "X-Forwarded_Proto", "X_FORWARDED_HOST", "X_Real_Ip", "X_Request_Id"]


@pytest.mark.parametrize("name", FORWARDING + ALIASES)
def test_nobody_may_say_where_a_request_came_from(start: Start, name: str) -> None:
    gateway = start({"forwarded": "off"})
    got = ask(gateway, headers=[(name, "6.6.6.6"), (name, "7.7.7.7")]).echo
    assert got.names() == ["host"]


@pytest.mark.parametrize("name", FORWARDING)
def test_a_trusted_proxy_may(start: Start, name: str) -> None:
    gateway = start({"forwarded": "off"}, trusted_proxies=["127.0.0.0/8"])
    got = ask(gateway, headers=[(name, "6.6.6.6"), (name, "7.7.7.7")]).echo
    assert got.all(name) == ["6.6.6.6", "7.7.7.7"]


@pytest.mark.parametrize("name", ALIASES)
def test_not_even_a_trusted_proxy_may_use_an_alias(start: Start, name: str) -> None:
    gateway = start({"forwarded": "off"}, trusted_proxies=["127.0.0.0/8"])
    assert ask(gateway, headers=[(name, "6.6.6.6")]).echo.names() == ["host"]


def test_a_route_that_asks_for_a_forwarding_header_sees_only_what_is_believed(start: Start) -> None:
    secure = {"name": "secure", "paths": ["=/"], "headers": {"x-forwarded-proto": "https"}, "respond": {"status": 204}}
    headers = [("X-Forwarded-Proto", "https")]
    assert ask(start({}, routes=[secure]), headers=headers).status == 200
    assert ask(start({}, routes=[secure], trusted_proxies=["127.0.0.1"]), headers=headers).status == 204


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        ([], "127.0.0.1"),
        (["1.2.3.4"], "1.2.3.4"),
        (["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),
        (["6.6.6.6", "1.2.3.4, 10.1.1.1"], "1.2.3.4"),
        (["6.6.6.6, nonsense, 10.1.1.1"], "10.1.1.1"),
        (["10.1.1.2, 10.1.1.1"], "10.1.1.2"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(start: Start, sent: list[str], client: str) -> None:
    edits = {"request_headers": {"set": {"x-client": "{client.ip}"}}}
    gateway = start(edits, trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    got = ask(gateway, headers=[("X-Forwarded-For", value) for value in sent]).echo
    assert got.one("x-client") == client


def test_an_untrusted_client_is_its_own_address(start: Start) -> None:
    gateway = start({"request_headers": {"set": {"x-client": "{client.ip}"}}}, trusted_proxies=["10.0.0.0/8"])
    assert ask(gateway, headers=[("X-Forwarded-For", "1.2.3.4")]).echo.one("x-client") == "127.0.0.1"


def test_http2_is_no_way_around(start: Start) -> None:
    gateway = start({"request_id": {}}, trusted_proxies=["10.0.0.0/8"])
    names = [*FORWARDING, *ALIASES, "X-Request-Id", "Via"]
    with Raw(gateway.address()) as raw:
        raw.send(raw.head(1, *((name.lower(), "6.6.6.6") for name in names)))
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    got = Echo(**json.loads(answer[1]))
    assert got.all("via") == ["6.6.6.6", "2 tidegate"]
    assert got.values().count("6.6.6.6") == 1
    assert got.one("x-forwarded-host") == "gateway.test"


WRITTEN = {
    "request_id": {"header": "x-correlation-id"},
    "trace_context": {},
    "request_headers": {
        "set": {"x-user-id": "{request.method}", "user": "u"},
        "remove": ["x-role"],
        "add": {"x-tag": "1"},
    },
}
TRAILERS = [
    ("X-User-Id", False),
    ("x_user_id", False),
    ("X.User_ID", False),
    ("USER", False),
    ("x-role", False),
    ("X_Role", False),
    ("x_correlation_id", False),
    ("traceparent", False),
    ("Via", False),
    ("x-user", True),
    ("x-tag", True),
    ("x-sum", True),
]


# Some servers put trailers among the headers; a policy has looked at the head long before they come.
def test_what_a_policy_writes_does_not_come_in_as_a_trailer(start: Start) -> None:
    lines = "".join(f"{name}: root\r\n" for name, _ in TRAILERS)
    body = f"2\r\nhi\r\n0\r\n{lines}\r\n".encode()
    got = ask(start(WRITTEN), "POST", headers=[("Transfer-Encoding", "chunked"), ("TE", "trailers")], body=body).echo
    assert got.trailers == [name for name, passes in TRAILERS if passes]


def test_what_a_policy_writes_does_not_come_in_as_a_trailer_over_http2(start: Start) -> None:
    with Raw(start(WRITTEN).address()) as raw:
        raw.send(
            raw.head(1, ("te", "trailers"), end=False, pseudo={"method": "POST"}),
            raw.data(1, b"hi"),
            raw.trailers(1, *((name.lower(), "root") for name, _ in TRAILERS)),
        )
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    assert Echo(**json.loads(answer[1])).trailers == [name for name, passes in TRAILERS if passes]


# The service cannot tell by which route a request came.
def test_a_trailer_that_another_route_owns_is_dropped_too(start: Start) -> None:
    edits = {"request_headers": {"set": {"x-user-id": "1"}}}
    other = {"name": "other", "paths": ["/other"], "service": "echo", "policies": edits}
    body = b"0\r\nX-User-Id: root\r\nX-Sum: 1\r\n\r\n"
    gateway = start({}, routes=[other])
    got = ask(gateway, "POST", headers=[("Transfer-Encoding", "chunked"), ("TE", "trailers")], body=body).echo
    assert got.trailers == ["x-sum"]


def test_forwarding_headers_do_not_come_in_as_trailers(start: Start) -> None:
    gateway = start({})
    body = b"2\r\nhi\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Proto: https\r\nX-Sum: 1\r\n\r\n"
    got = ask(gateway, "POST", headers=[("Transfer-Encoding", "chunked"), ("TE", "trailers")], body=body).echo
    assert got.trailers == ["x-sum"]
