"""`response_headers`: what a client gets to see of an answer."""

from __future__ import annotations

from tests.echo import Start, ask


def test_answers_of_services_are_edited(start: Start) -> None:
    edits = {"remove": ["server"], "set": {"cache-control": "no-store"}, "add": {"vary": "x-tenant"}}
    answer = ask(start({"response_headers": edits}), target="/fields")
    assert answer.all("server") == []
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("vary") == ["accept", "x-tenant"]


def test_answers_of_the_gateway_are_edited_too(start: Start) -> None:
    gateway = start({"response_headers": {"set": {"strict-transport-security": "max-age=1"}}})
    for target in ("/nowhere-at-all", "/down"):
        answer = ask(gateway, target=target)
        assert answer.status >= 400
        assert answer.all("strict-transport-security") == ["max-age=1"]


def test_values_are_made_of_the_request(start: Start) -> None:
    gateway = start({"response_headers": {"set": {"x-echo": "{header.x-in}/{request.host}"}}})
    answer = ask(gateway, headers=[("Host", "Shop.Example"), ("X-In", "1")])
    assert answer.one("x-echo") == "1/shop.example"


def test_no_value_can_split_the_answer(start: Start) -> None:
    gateway = start({"response_headers": {"set": {"x-echo": "{query.q}"}}})
    answer = ask(gateway, target="/?q=1%0d%0aSet-Cookie:%20a%3db")
    assert answer.all("set-cookie") == []
