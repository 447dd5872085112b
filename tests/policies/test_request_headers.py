"""`request_headers`: what a service gets to see of a request."""

from __future__ import annotations

from tests.echo import Start, ask


def test_headers_are_removed_in_any_case(start: Start) -> None:
    gateway = start({"request_headers": {"remove": ["cookie", "x-a"]}, "forwarded": "off"})
    assert ask(gateway, headers=[("COOKIE", "a=b"), ("X-A", "1"), ("x-a", "2")]).echo.names() == ["host"]


def test_set_replaces_and_add_does_not(start: Start) -> None:
    gateway = start({"request_headers": {"set": {"X-Set": "new"}, "add": {"X-Add": "new"}}})
    got = ask(gateway, headers=[("x-set", "1"), ("X-SET", "2"), ("x-add", "1")]).echo
    assert got.all("x-set") == ["new"]
    assert got.all("x-add") == ["1", "new"]


def test_a_list_sets_a_header_several_times(start: Start) -> None:
    gateway = start({"request_headers": {"set": {"x-set": ["one", "two"]}}})
    assert ask(gateway, headers=[("X-Set", "0")]).echo.all("x-set") == ["one", "two"]


def test_remove_comes_before_set_and_set_before_add(start: Start) -> None:
    edits = {"remove": ["x-a"], "set": {"x-a": "set"}, "add": {"x-a": "add"}}
    assert ask(start({"request_headers": edits}), headers=[("x-a", "0")]).echo.all("x-a") == ["set", "add"]


def test_values_are_made_of_the_request(start: Start) -> None:
    value = "{request.method} {request.path} {query.q} {header.x-in} {route.name} {service.name}"
    gateway = start({"request_headers": {"set": {"x-made": value}}})
    got = ask(gateway, target="/a?q=1%202", headers=[("X-In", "in")]).echo
    assert got.one("x-made") == "GET /a 1 2 in echo echo"


def test_a_value_can_be_made_of_the_header_it_replaces(start: Start) -> None:
    gateway = start({"request_headers": {"set": {"x-a": "{header.x-a}!"}}})
    assert ask(gateway, headers=[("X-A", "1")]).echo.all("x-a") == ["1!"]


def test_no_value_can_end_its_line(start: Start) -> None:
    gateway = start({"request_headers": {"set": {"x-made": "a{query.q}"}}})
    got = ask(gateway, target="/?q=1%0d%0aX-Evil:%201%00").echo
    assert "x-evil" not in got.names()
    assert got.one("x-made").startswith("a1")


def test_a_header_of_the_gateways_own_can_be_overridden(start: Start) -> None:
    gateway = start({"request_headers": {"remove": ["via"], "set": {"x-forwarded-host": "inside.example"}}})
    got = ask(gateway, headers=[("Host", "outside.example")]).echo
    assert got.all("x-forwarded-host") == ["inside.example"]
    assert got.all("via") == []
