"""Whatever the bytes, a document loads or has problems: never a traceback, and no secret in a message."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tidegate import ConfigError, _native
from tidegate.config import Gateway, Listener, Loaded, Problem, Route, Service, load
from tidegate.config.load import Loader

QUIET = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

WHOLE: dict[str, Any] = {
    "listeners": [
        {"address": "127.0.0.1:0", "limits": {"head": "1MiB", "http2": {"streams": 1}}},
        {"address": "127.0.0.1:1", "tls": {"certificate": "c.pem", "key": "k.pem", "minimum_version": 1.2}},
    ],
    "services": [
        {"name": "a", "url": "http://a/b", "read_timeout": "2s", "policies": {"request_id": {}}},
        {"name": "b", "upstream": {"targets": [{"address": "x:1", "weight": 2}]}, "tls": {"ca": "c.pem"}},
        {"name": "c", "host": "x", "port": 1, "routes": [{"name": "n", "paths": ["/n"]}]},
    ],
    "routes": [
        {
            "name": "r",
            "service": "a",
            "paths": ["/{id}"],
            "rewrite": "/{path.id}",
            "headers": {"x": ["1", "~2"], "y": True},
        },
        {"name": "s", "respond": {"body": {"a": ["{request.id}"]}, "headers": {"x": "y"}}, "hosts": ["*.example.com"]},
        {
            "name": "t",
            "redirect": {"location": "/", "status": 308},
            "policies": {"request_headers": {"set": {"a": "b"}}},
        },
        {
            "name": "v",
            "paths": ["/v/{id}"],
            "compose": {
                "timeout": "2s",
                "calls": {
                    "x": {
                        "service": "a",
                        "path": "/{path.id}",
                        "query": {"q": "{query.q}"},
                        "expect": [200, "204-205"],
                    },
                    "y": {"service": "b", "path": "/{item.z}", "for_each": "{x.ids}", "default": {"a": [1]}},
                    "z": {
                        "service": "a",
                        "path": "/",
                        "method": "POST",
                        "body": ["{x}"],
                        "when": {"{x.a}": ["1", "~2"]},
                    },
                },
                "response": {
                    "a": {"$from": "{x}", "$without": ["b"]},
                    "c": {"$for_each": {"l": "{y}"}, "$value": "{l} {index}"},
                    "d": {"$first": ["{z}", {"$cel": "x.y"}, None]},
                },
                "views": {"m": {"when": {"{header.x}": "1"}, "response": "{x}"}},
            },
        },
        {"name": "u", "handler": "a:b", "cookies": {"s": "1"}, "query": {"q": True}},
    ],
    "policies": {"forwarded": False},
    "trusted_proxies": ["10.0.0.0/8"],
    "access_log": {"file": "x"},
    "admin": {"address": "127.0.0.1:1"},
    "drain_timeout": 5,
    "workers": 2,
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**30, max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["${env:A}", "${env:", "$${x}", "${file:.}", "{path.id}", "{{", "~(", "=/{a...}", "unix:/x"]),
    st.sampled_from(["http://[", "https://x@y", "\ud800"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


PLACES = places(WHOLE)


def replaced(data: Any, path: tuple[Any, ...], value: Any, *, key: bool) -> Any:
    """The document with the value at a place replaced, or its key."""
    out = copy.deepcopy(data)
    if not path:
        return value
    at = out
    for part in path[:-1]:
        at = at[part]
    if key and isinstance(at, dict):
        at[str(value)] = at.pop(path[-1])
    else:
        at[path[-1]] = value
    return out


def problems_or_plan(loader: Loader, file: Path) -> tuple[Problem, ...] | bytes:
    try:
        loaded = loader.load(file, {"A": "s3cret"})
    except ConfigError as error:
        return error.problems
    for problem in loaded.problems(_native.compile_plan(loaded.plan)):
        assert problem.code
    json.dumps(loaded.written())
    return loaded.plan


def check(file: Path) -> None:
    """Loads twice, as a process does; both times it is a plan, or problems with places."""
    loader = Loader()
    outcome = problems_or_plan(loader, file)
    assert outcome
    for problem in outcome if isinstance(outcome, tuple) else ():
        assert problem.file == str(file)
        assert problem.message
        assert problem.code.startswith("config.")
        assert "s3cret" not in str(problem)
    assert problems_or_plan(loader, file) == outcome


@QUIET
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".yaml", ".json", ".toml"]))
def test_any_bytes(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"gateway{suffix}"
    file.write_bytes(content)
    check(file)


@QUIET
@given(text=st.text(max_size=200), suffix=st.sampled_from([".yaml", ".json", ".toml"]))
def test_any_text(text: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"gateway{suffix}"
    file.write_bytes(text.encode("utf-8", "replace"))
    check(file)


@settings(QUIET, max_examples=600)
@given(place=st.sampled_from(PLACES), value=VALUES, key=st.booleans())
def test_any_value_at_any_place(place: tuple[Any, ...], value: Any, key: bool, tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(replaced(WHOLE, place, value, key=key)))
    check(file)


@settings(QUIET, max_examples=300)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_given_in_python(place: tuple[Any, ...], value: Any) -> None:
    data = replaced(WHOLE, place, value, key=False)
    if len(place) < 3:  # the lists themselves, which Python code writes as calls
        return
    with contextlib.suppress(ConfigError):
        gateway = Gateway(
            listeners=[Listener(**listener) for listener in data["listeners"]],
            services=[Service(**service) for service in data["services"]],
            routes=[Route(**route) for route in data["routes"]],
            **{key: value for key, value in data.items() if key not in ("listeners", "services", "routes")},
        )
        assert isinstance(gateway.load(), Loaded)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.yaml", "a: " + "[" * 5000),
        ("deep.json", "[" * 100_000),
        ("deep2.json", '{"a":' * 50 + "1" + "}" * 50),
        ("deep3.json", '{"a":' * 900 + "1" + "}" * 900),
        ("deep.toml", "a = " + "[" * 5000),
        ("deep2.toml", "a = " + "[" * 60 + "]" * 60),
        ("big.json", '{"workers": ' + "9" * 5000 + "}"),
        ("big.yaml", "workers: " + "9" * 5000),
        ("big.toml", "workers = " + "9" * 5000),
        ("surrogate.json", '{"services": [{"name": "\\ud800"}]}'),
        ("nan.json", '{"workers": NaN}'),
        ("nan.yaml", "routes: [{name: a, respond: {body: {x: .nan, y: 1e999}}}]"),
        ("nan.toml", "[[routes]]\nname = 'a'\nrespond = {body = {x = nan}}\n"),
        ("keys.yaml", "{1: 2, [a]: b, ? {c: d}: e, null: f, true: g}"),
        ("recursive.yaml", "a: &a [*a]"),
        ("empty.toml", ""),
        ("comment.yaml", "# nothing\n"),
        ("utf16.yaml", "\ufeffroutes: []\n"),
        ("nul.yaml", "a: \x00"),
    ],
)
def test_texts_that_parsers_stumble_over(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    check(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path, message in [("none.yaml", "no such file"), ("x\x00y", "not possible"), (".", "has no")]:
        with pytest.raises(ConfigError, match=message):
            load(tmp_path / path)
