"""Every composed answer that loads, the engine takes: what it refuses has its place in the document."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate import Call, Compose, ConfigError, Gateway, Route, Service, View, _native

QUIET = settings(max_examples=150, deadline=None)
PIECES = st.sampled_from([
    "/", "..", ".", "a", "é", "%2f", "%", "%zz", "\\", "?", "#", " ", ";", ":", "{one}", "{one.a.0.*.b}", "{two.x}",
    "{item}", "{item.a}", "{index}", "{body}", "{body.a}", "{path.id}", "{query.q}", "{claims.a.b}", "{request.path}",
    "{{", "}}", "\n", "\x00",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=5).map("".join)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    TEXTS,
)
NAMES = st.one_of(st.sampled_from(["a", "$$a", "é", "", "x.y"]), st.text(max_size=3))


def forms(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What may stand in a shape, around others."""
    sources = st.sampled_from(["{one}", "{two.a.*}", "{body.x}"])
    members = st.lists(st.sampled_from(["a", "a.b", "*.a", "é"]), min_size=1, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3),
        st.builds(lambda source, names: {"$from": source, "$without": names}, sources, members),
        st.builds(lambda source, names: {"$from": source, "$only": names}, sources, members),
        st.builds(lambda options: {"$first": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda source, value: {"$for_each": source, "$value": value}, sources, inner),
        st.builds(lambda source, value: {"$for_each": {"x": source, "y": "{one.l}"}, "$value": value}, sources, inner),
    )


SHAPES = st.recursive(SCALARS, forms, max_leaves=8)
SERVICE = Service(name="s", url="http://127.0.0.1:1")


def refused(**parts: Any) -> list[tuple[str, str, str]]:
    """What the engine refuses of a composed answer that loads; the call `three` has these parts."""
    response = parts.pop("response", None)
    views = parts.pop("views", {})
    try:
        calls = {
            "one": Call(service="s", path="/one"),
            "two": Call(service="s", path="/two"),
            "three": Call(service="s", **{"path": "/", "for_each": "{one.items}", **parts}),
        }
        every = ["{one}", "{two}", "{three}"]
        compose = Compose(calls=calls, response=[response, *every], views=views)
        gateway = Gateway(services=[SERVICE], routes=[Route(name="r", paths=["/{id}"], compose=compose)])
        return _native.compile_plan(gateway.load().plan)
    except ConfigError:
        return []


@QUIET
@given(path=TEXTS)
def test_paths(path: str) -> None:
    # Whether the text makes a path with any value is the engine's to say.
    assert {place for place, _, _ in refused(path=f"/{path}")} <= {"routes[0].action.compose.calls[2]"}


@QUIET
@given(name=st.text(max_size=5), value=TEXTS)
def test_queries_and_headers(name: str, value: str) -> None:
    assert refused(query={name: value}) == []
    assert refused(headers={name or "x": value}) == []


@QUIET
@given(shape=SHAPES)
def test_shapes(shape: Any) -> None:
    assert refused(response=shape) == []
    assert refused(method="POST", body=shape) == []
    assert refused(views={"v": View(when={"{header.x}": "1"}, response=shape)}) == []


@QUIET
@given(wanted=st.one_of(st.booleans(), st.text(max_size=5), st.lists(st.sampled_from(["a", "~a+", "~*A"]), min_size=1)))
def test_conditions(wanted: Any) -> None:
    found = refused(when={"{one.a}": wanted, "{query.q}": wanted})
    # Whether a text is a regular expression is the engine's to say.
    assert {path for path, _, _ in found} <= {"routes[0].action.compose.calls[2].when"}


@QUIET
@given(
    expression=st.sampled_from(["one.a == 1", "one.a +", "request.path", "'one'", "one.exists(x, x > 1)", "nothing"])
)
def test_expressions(expression: str) -> None:
    found = refused(when=expression)
    assert {path for path, _, _ in found} <= {"routes[0].action.compose.calls[2].when"}
