"""`cors`: which scripts may read an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.echo import Answer, EchoGateway, Start, ask
from tests.http2.raw import Raw
from tests.policies.documents import refusal

SHOP = "https://shop.example"
EVIL = "https://evil.example"


def preflight(gateway: EchoGateway, origin: str, target: str = "/", method: str = "PUT", **more: str) -> Answer:
    headers = [("Origin", origin), ("Access-Control-Request-Method", method)]
    headers += [(name.replace("_", "-"), value) for name, value in more.items()]
    return ask(gateway, "OPTIONS", target, headers=headers)


def cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.fields if name.startswith("access-control-")}


def vary(answer: Answer) -> set[str]:
    return {name.strip().lower() for value in answer.all("vary") for name in value.split(",")}


# ---- requests


def test_an_origin_that_is_listed_may_read_the_answer(start: Start) -> None:
    answer = ask(start({"cors": {"origins": [SHOP]}}), headers=[("Origin", SHOP)])
    assert answer.status == 200
    assert cors(answer) == {"access-control-allow-origin": SHOP}
    assert vary(answer) == {"origin"}


@pytest.mark.parametrize("headers", [[], [("Origin", EVIL)], [("Origin", SHOP), ("Origin", EVIL)]])
def test_all_others_get_the_answer_but_may_not_read_it(start: Start, headers: list[tuple[str, str]]) -> None:
    answer = ask(start({"cors": {"origins": [SHOP]}}), headers=headers)
    assert answer.status == 200
    assert cors(answer) == {}
    # A cache must not hand this answer to the shop.
    assert vary(answer) == {"origin"}


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [
        ("https://shop.example", True),
        ("https://shop.example:8443", False),
        ("http://shop.example", False),
        ("https://shop.example.evil.example", False),
        ("https://evilshop.example", False),
        ("https://a.preview.example", True),
        ("https://a.b.preview.example", True),
        ("https://preview.example", False),
        ("https://evil.example/.preview.example", False),
        ("https://pr-7.ci.example", True),
        ("https://pr-7.ci.example.evil.example", False),
        ("https://evil.example?https://pr-7.ci.example", False),
        ("https://pr-7xciyexample", False),
        ("https://two.example", True),
        ("null", False),
        ("*", False),
    ],
)
def test_an_origin_is_compared_whole(start: Start, origin: str, let_in: bool) -> None:
    origins = [
        "https://Shop.Example:443",
        "https://*.preview.example",
        r"~https://pr-\d+\.ci\.example|https://two.example",
    ]
    answer = ask(start({"cors": {"origins": origins}}), headers=[("Origin", origin)])
    assert cors(answer) == ({"access-control-allow-origin": origin} if let_in else {})


def test_null_is_let_in_only_by_its_name(start: Start) -> None:
    assert cors(ask(start({"cors": {"origins": ["~.*"]}}), headers=[("Origin", "null")])) == {}
    answer = ask(start({"cors": {"origins": ["null"]}}), headers=[("Origin", "null")])
    assert cors(answer) == {"access-control-allow-origin": "null"}


def test_everybody_is_one_answer_for_all(start: Start) -> None:
    gateway = start({"cors": {"origins": ["*"]}})
    for headers in ([("Origin", EVIL)], [("Origin", "null")]):
        answer = ask(gateway, headers=headers)
        assert cors(answer) == {"access-control-allow-origin": "*"}
        assert vary(answer) == set()


def test_credentials_and_exposed_headers_are_announced(start: Start) -> None:
    options = {"origins": [SHOP], "credentials": True, "expose_headers": ["X-Total", "ETag"]}
    answer = ask(start({"cors": options}), headers=[("Origin", SHOP)])
    assert cors(answer) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-total, etag",
    }


def test_what_a_service_says_itself_is_replaced(start: Start) -> None:
    theirs = {"Access-Control-Allow-Origin": "*", "access-control-allow-credentials": "true", "Vary": "accept"}
    open_ = {"name": "open", "paths": ["/open"], "respond": {"status": 200, "headers": theirs}}
    gateway = start({"cors": {"origins": [SHOP]}}, routes=[open_])
    assert cors(ask(gateway, target="/open", headers=[("Origin", EVIL)])) == {}
    assert cors(ask(gateway, target="/open")) == {}
    shop = ask(gateway, target="/open", headers=[("Origin", SHOP)])
    assert shop.all("access-control-allow-origin") == [SHOP]
    assert "access-control-allow-credentials" not in shop.names()
    assert vary(shop) == {"accept", "origin"}


def test_refusals_can_be_read_too(start: Start) -> None:
    gateway = start({"cors": {"origins": [SHOP]}, "ip": {"deny": ["127.0.0.1"]}})
    answer = ask(gateway, headers=[("Origin", SHOP)])
    assert answer.status == 403
    assert cors(answer) == {"access-control-allow-origin": SHOP}


@pytest.mark.parametrize(("target", "status"), [("/down", 502), ("/nowhere-at-all", 404)])
def test_failures_can_be_read_too(start: Start, target: str, status: int) -> None:
    answer = ask(start({"cors": {"origins": [SHOP]}}), target=target, headers=[("Origin", SHOP)])
    assert answer.status == status
    assert cors(answer) == {"access-control-allow-origin": SHOP}


def test_a_policy_that_takes_the_origin_off_the_request_changes_nothing(start: Start) -> None:
    gateway = start({"cors": {"origins": [SHOP]}, "request_headers": {"remove": ["origin"]}})
    answer = ask(gateway, headers=[("Origin", SHOP)])
    assert "origin" not in answer.echo.names()
    assert cors(answer) == {"access-control-allow-origin": SHOP}


# ---- preflights


def test_a_preflight_is_answered_without_the_service(start: Start) -> None:
    gateway = start({"cors": {"origins": [SHOP]}})
    answer = preflight(gateway, SHOP, "/down", Access_Control_Request_Headers="X-Cart, content-type")
    assert (answer.status, answer.body) == (204, b"")
    assert cors(answer) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "X-Cart, content-type",
        "access-control-max-age": "600",
    }
    assert vary(answer) == {"origin", "access-control-request-method", "access-control-request-headers"}


def test_lists_are_given_as_they_are(start: Start) -> None:
    options = {
        "origins": [SHOP],
        "allow_methods": ["get", "PUT"],
        "allow_headers": ["X-Cart"],
        "credentials": True,
        "max_age": "1h",
        "expose_headers": ["x-total"],
    }
    answer = preflight(start({"cors": options}), SHOP, method="DELETE", Access_Control_Request_Headers="x-evil")
    assert cors(answer) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-cart",
        "access-control-max-age": "3600",
    }


def test_a_preflight_of_another_origin_gets_no_permission(start: Start) -> None:
    answer = preflight(start({"cors": {"origins": [SHOP]}}), EVIL)
    assert answer.status == 204
    assert cors(answer) == {}
    assert "origin" in vary(answer)


def test_a_preflight_belongs_to_the_route_of_the_request_it_announces(start: Start) -> None:
    def route(name: str, methods: list[str], origin: str, **more: Any) -> dict[str, Any]:
        policies = {"cors": {"origins": [origin], "allow_methods": methods}}
        return {"name": name, "paths": ["/cart"], "methods": methods, "policies": policies, **more}

    answer = {"respond": {"status": 200}}
    routes = [
        route("read", ["GET"], SHOP, **answer),
        route("write", ["POST"], "https://admin.example", **answer),
        route("second", ["POST"], "https://second.example", headers={"x-version": "2"}, **answer),
    ]
    gateway = start({}, routes=routes)

    def allowed(method: str, origin: str, **more: str) -> bool:
        answer = preflight(gateway, origin, "/cart", method, **more)
        return answer.status == 204 and cors(answer).get("access-control-allow-methods") == method

    assert allowed("GET", SHOP)
    assert not allowed("POST", SHOP)
    assert allowed("POST", "https://admin.example")
    assert not allowed("GET", "https://admin.example")
    # A condition on a header is met by the announcement of it.
    assert allowed("POST", "https://second.example", Access_Control_Request_Headers="X-Version")
    assert not allowed("POST", "https://admin.example", Access_Control_Request_Headers="X-Version")
    # No route takes it, and no policy of the gateway answers for all.
    assert preflight(gateway, SHOP, "/cart", "DELETE").status == 405


def test_an_action_never_sees_a_preflight_by_another_method(start: Start) -> None:
    post = {"name": "post", "paths": ["=/a/post"], "methods": ["POST"], "service": "echo", "strip_path": False}
    gateway = start({}, routes=[{**post, "policies": {"cors": {"origins": [SHOP]}}}])
    assert preflight(gateway, SHOP, "/a/post", "POST").status == 204
    assert ask(gateway, "OPTIONS", "/a/post", headers=[("Origin", SHOP)]).echo.target == "/a/post"
    assert preflight(gateway, SHOP, "/a/post", "PATCH").echo.method == "OPTIONS"


def test_without_the_policy_a_preflight_is_the_services_own(start: Start) -> None:
    assert preflight(start({}), SHOP).echo.method == "OPTIONS"


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", SHOP)],
        [("Access-Control-Request-Method", "PUT")],
        [("Origin", SHOP), ("Access-Control-Request-Method", "P UT")],
    ],
)
def test_other_options_requests_go_to_the_service(start: Start, headers: list[tuple[str, str]]) -> None:
    assert ask(start({"cors": {"origins": [SHOP]}}), "OPTIONS", headers=headers).echo.method == "OPTIONS"


def test_a_preflight_for_nothing_succeeds_so_that_its_404_can_be_read(start: Start) -> None:
    assert preflight(start({"cors": {"origins": [SHOP]}}), SHOP, "/nowhere-at-all").status == 204


def test_a_preflight_comes_before_every_refusal(start: Start) -> None:
    gateway = start({"cors": {"origins": [SHOP]}, "ip": {"deny": ["127.0.0.1"]}, "csrf": {}})
    assert preflight(gateway, SHOP).status == 204


def test_nothing_that_is_announced_can_break_out_of_its_line(start: Start) -> None:
    answer = preflight(
        start({"cors": {"origins": [SHOP]}}), SHOP, Access_Control_Request_Headers='x-a, "b c", , x-\u00e9, x-b'
    )
    assert cors(answer)["access-control-allow-headers"] == "x-a, x-b"


def test_private_networks_are_reached_only_on_demand(start: Start) -> None:
    asked = {"Access_Control_Request_Private_Network": "true"}
    allow = "access-control-allow-private-network"
    assert allow not in cors(preflight(start({"cors": {"origins": [SHOP]}}), SHOP, **asked))
    gateway = start({"cors": {"origins": [SHOP], "private_network": True}})
    assert cors(preflight(gateway, SHOP, **asked))[allow] == "true"
    assert allow not in cors(preflight(gateway, SHOP))
    assert allow not in cors(preflight(gateway, EVIL, **asked))


# ---- documents


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`origins` is missing"),
        ({"origins": []}, "must not be empty"),
        ({"origins": ["*"], "credentials": True}, "cannot be used with `credentials`"),
        ({"origins": ["null"], "credentials": True}, "cannot be used with `credentials`"),
        ({"origins": [SHOP], "credentials": True, "expose_headers": ["*"]}, "means nothing to browsers"),
        ({"origins": [SHOP, "~https://.*"], "credentials": True}, "lets every site act for your users"),
        ({"origins": ["~("]}, "unclosed group"),
        ({"origins": ["shop.example"]}, "write `https://shop.example`"),
        ({"origins": ["https://shop.example/"]}, "an origin has no path"),
        ({"origins": ["https://shop.example/cart"]}, "expected an origin"),
        ({"origins": ["https://a.*.example"]}, "expected an origin"),
        ({"origins": ["https://user@shop.example"]}, "expected an origin"),
        ({"origins": [SHOP], "allow_headers": ["x a"]}, "is not a name"),
    ],
)
def test_a_document_that_would_let_in_too_many_does_not_load(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    assert message in refusal(tmp_path, {"cors": options})


def test_http2_preflights_are_the_same(start: Start) -> None:
    route = {"name": "post", "paths": ["/post"], "methods": ["POST"], "respond": {"status": 200}}
    gateway = start({}, routes=[{**route, "policies": {"cors": {"origins": [SHOP]}}}])
    with Raw(gateway.address()) as raw:
        asked = [("origin", SHOP), ("access-control-request-method", "POST")]
        raw.send(raw.head(1, *asked, pseudo={"method": "OPTIONS", "path": "/post"}))
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    fields = answer[0]
    assert (fields[":status"], fields["access-control-allow-methods"]) == ("204", "POST")
