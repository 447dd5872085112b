"""What the document accepts, the engine accepts: both sides have the same idea of a path, a host and a reference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate import ConfigError, Gateway, Redirect, Respond, Route, Service, Target, Upstream, _native

PIECES = st.sampled_from([
    "/", "//", ".", "..", "a", "B", "~", "%7e", "%2f", "%5C", "%41", "%c3%a9", "é", "%", "%zz", "%00", "%1f", "\\", "|",
    '"', "<", "[", "]", "^", "`", "{", "}", "{id}", "{rest...}", ";", "..;", "%3b", ":", "@", "!", "=", "?", "#", " ",
    "*", "{path.id}", "{query.q}", "{request.path}", "{{", "}}", "+", "xn--", "-", "_", "1", "\t", "\x7f",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=6).map("".join)
SERVICE = Service(name="s", url="http://127.0.0.1:1")


def refused(**gateway: Any) -> list[tuple[str, str, str]]:
    """What the engine refuses of a gateway that loads."""
    try:
        return _native.compile_plan(Gateway(**gateway).load().plan)
    except ConfigError:
        return []


@settings(max_examples=400, deadline=None)
@given(path=TEXTS, exact=st.booleans())
def test_paths(path: str, exact: bool) -> None:
    route = Route(name="r", paths=[f"{'=' if exact else ''}/{path}"], respond=Respond())
    assert refused(routes=[route]) == []


@settings(max_examples=400, deadline=None)
@given(path=TEXTS)
def test_base_paths(path: str) -> None:
    assert (
        refused(services=[Service(name="s", url=f"http://127.0.0.1:1/{path}")], routes=[Route(name="r", service="s")])
        == []
    )


@settings(max_examples=400, deadline=None)
@given(rewrite=TEXTS)
def test_rewrites(rewrite: str) -> None:
    route = Route(name="r", paths=["/{id}"], service="s", rewrite=f"/{rewrite}")
    # Whether the text makes a path with any value is the engine's to say; its problems have the place in the document.
    for path, code, _ in refused(services=[SERVICE], routes=[route]):
        assert (path, code) == ("routes[0].action.rewrite", "routing.bad_rewrite")


@settings(max_examples=400, deadline=None)
@given(location=TEXTS, scheme=st.sampled_from(["/", "https://", "http://h/", "", "https://{request.host}/"]))
def test_locations(location: str, scheme: str) -> None:
    route = Route(name="r", paths=["/{id}"], redirect=Redirect(location=f"{scheme}{location}"))
    for path, code, _ in refused(routes=[route]):
        assert (path, code) == ("routes[0].action.location", "routing.bad_location")


@settings(max_examples=300, deadline=None)
@given(host=TEXTS)
def test_hosts(host: str) -> None:
    assert refused(routes=[Route(name="r", hosts=[host], respond=Respond())]) == []


@settings(max_examples=300, deadline=None)
@given(body=TEXTS, value=TEXTS)
def test_answers(body: str, value: str) -> None:
    respond = Respond(body=body, headers={"x-a": value})
    assert refused(routes=[Route(name="r", paths=["/{id}"], respond=respond)]) == []


@pytest.mark.parametrize("address", ["a:1", "[::1]:1", "127.0.0.1:1", "unix:/x", "a.b-c:65535", "a"])
def test_targets(address: str) -> None:
    service = Service(name="s", upstream=Upstream(targets=[Target(address=address)]))
    assert refused(services=[service], routes=[Route(name="r", service="s")]) == []
