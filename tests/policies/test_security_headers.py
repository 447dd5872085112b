"""`security_headers`: what browsers are told of an answer."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.echo import Answer, Start, ask
from tests.policies.documents import refusal
from tests.tls.certificates import Authority

DEFAULTS = {
    "content-security-policy": "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
}
HSTS = "strict-transport-security"


def told(answer: Answer) -> dict[str, str]:
    names = {*DEFAULTS, HSTS, "cross-origin-embedder-policy", "server"}
    return {name: value for name, value in answer.fields if name in names}


@pytest.mark.parametrize(("target", "status"), [("/fields", 200), ("/down", 502), ("/nowhere-at-all", 404)])
def test_every_answer_has_the_defaults(start: Start, target: str, status: int) -> None:
    answer = ask(start({"security_headers": {}}), target=target)
    assert answer.status == status
    assert told(answer) == DEFAULTS


def test_without_the_policy_nothing_is_told(start: Start) -> None:
    assert told(ask(start({}), target="/fields")) == {"server": "echo"}


def test_hsts_goes_out_over_tls_only(start: Start) -> None:
    gateway = start({"security_headers": {}}, trusted_proxies=["127.0.0.1"])
    for sent, secure in (
        (["https"], True),
        (["HTTPS"], True),
        (["http"], False),
        ([], False),
        (["https, http"], False),
        (["https", "http"], False),
    ):
        answer = ask(gateway, headers=[("X-Forwarded-Proto", value) for value in sent])
        assert (told(answer).get(HSTS) == "max-age=31536000; includeSubDomains") is secure, sent


def test_a_client_cannot_say_that_it_came_over_tls(start: Start) -> None:
    assert HSTS not in told(ask(start({"security_headers": {}}), headers=[("X-Forwarded-Proto", "https")]))


def test_each_has_another_value_or_none(start: Start) -> None:
    options = {
        "x_frame_options": "SAMEORIGIN",
        "content_security_policy": "off",
        "permissions_policy": False,
        "cross_origin_embedder_policy": "require-corp",
        "remove": [],
    }
    got = told(ask(start({"security_headers": options}), target="/fields"))
    assert got["x-frame-options"] == "SAMEORIGIN"
    assert "content-security-policy" not in got
    assert "permissions-policy" not in got
    assert got["cross-origin-embedder-policy"] == "require-corp"
    assert got["server"] == "echo"


OWN = {"name": "own", "paths": ["/own"], "respond": {"status": 200, "headers": {"X-Frame-Options": "SAMEORIGIN"}}}


@pytest.mark.parametrize(("options", "value"), [({}, "SAMEORIGIN"), ({"replace": True}, "DENY")])
def test_what_the_service_says_stands_unless_it_is_replaced(start: Start, options: dict[str, Any], value: str) -> None:
    answer = ask(start({"security_headers": options}, routes=[OWN]), target="/own")
    assert answer.all("x-frame-options") == [value]


def test_the_document_has_the_last_word(start: Start) -> None:
    gateway = start({"security_headers": {}, "response_headers": {"set": {"x-frame-options": "ALLOWALL"}}})
    assert ask(gateway).all("x-frame-options") == ["ALLOWALL"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_frame_options": "DENY\r\nset-cookie: a=b"}, "no line breaks"),
        ({"x_frame_options": ""}, "empty"),
        ({"remove": ["a b"]}, "is not a header name"),
        ({"x_frame_option": "DENY"}, "did you mean `x_frame_options`"),
    ],
)
def test_a_bad_value_does_not_load(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, {"security_headers": options})


def test_hsts_goes_out_over_tls_of_the_gateways_own(tmp_path: Path, gateway: StartGateway) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("localhost", "127.0.0.1")
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)}
    running = gateway(
        {
            "listeners": [{"address": "127.0.0.1:0", "tls": tls}],
            "routes": [{"name": "all", "paths": ["/"], "respond": {"status": 204}}],
            "policies": {"security_headers": {}},
        }
    )
    trusting = ssl.create_default_context(cafile=str(authority.file))
    assert HSTS in running.get("/", tls=trusting).headers
