"""Loading again does only what a change made necessary, and never gives anything else than loading anew."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tidegate import ConfigError
from tidegate.config import Loader, chunks, load
from tidegate.config.sources import yaml_source

ROUTES = """\
  - name: route-{n}
    paths: [/things/{n}, "=/one/{n}/{{id}}"]
    service: s{m}
"""
SOUP = [
    "\n", "- ", "  - ", "  - name: x\n", "name: y", ": ", "'", '"', "|\n", ">-\n", "[", "]", "{", "}", "# c\n", "&a ",
    "*a", "---\n", "...\n", "  ", "    ", "\t", "services:\n", "routes:\n", "policies:\n", "request_id: {}\n", "!!str ",
    "? ", "%", "<<: ", "\r\n", "\u2028", "${env:A}", "$${", "${env:MISSING}", "service: s1\n", "routes: []\n", "-\n",
    "    respond: {body: |\n", "    respond:\n      body: |+\n        text\n\n", "\x00", "é", "-", "~", "true", "0",
    ",", "paths: [/a]\n", "    paths: [/a]\n", "    respond: {}\n", "drain_timeout: 5s\n",
]  # fmt: skip


def base_text(count: int = 6) -> str:
    services = "".join(f"  - name: s{m}\n    url: http://127.0.0.1:{9000 + m}\n" for m in range(3))
    routes = "".join(ROUTES.format(n=n, m=n % 3) for n in range(count))
    return f"# a gateway\npolicies:\n  request_id: {{}}\nservices:\n{services}\nroutes:\n{routes}"


def outcome(loader: Loader, file: Path) -> Any:
    try:
        loaded = loader.load(file, {"A": "one"})
    except ConfigError as error:
        return error.problems
    return loaded.plan, loaded.handlers, loaded.written(), loaded.files, loaded.problem("routes[0].paths[0]", "c", "m")


def whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The outcome of the ordinary path, which never cuts a file apart."""
    with monkeypatch.context() as patched:
        patched.setattr(chunks, "split", lambda text: None)
        return outcome(Loader(), file)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(SOUP)), min_size=1, max_size=6))
@example(edits=[(0.015625, 0, "\x00")])  # a comment before the first key, which no piece brings to the parser
@example(edits=[(1.0, 0, "  - ")])  # an entry of nothing was taken for one that had been dropped
def test_cut_apart_or_not_the_outcome_is_the_same(
    edits: list[tuple[float, int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.yaml"
    text = base_text()
    loader = Loader()
    file.write_text(text)
    assert outcome(loader, file) == whole(file, monkeypatch)
    for place, removed, inserted in edits:
        at = int(place * len(text))
        text = text[:at] + inserted + text[at + removed :]
        file.write_bytes(text.encode())
        expected = whole(file, monkeypatch)
        assert outcome(loader, file) == expected
        assert outcome(Loader(), file) == expected


def test_edits_of_whole_lines_give_the_same_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    file = tmp_path / "gateway.yaml"
    loader = Loader()
    lines = base_text(12).split("\n")
    for _ in range(200):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                lines.insert(at, chance.choice(lines))
            case 1:
                del lines[at]
            case 2:
                lines[at] = " " * chance.randrange(3) + lines[at]
            case _:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
        if len(lines) < 8:
            lines = base_text(12).split("\n")
        file.write_text("\n".join(lines))
        assert outcome(loader, file) == whole(file, monkeypatch)


def test_only_the_changed_item_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    loader = Loader()
    file.write_text(base_text(100))
    loader.load(file)
    read: list[str] = []
    parser = yaml_source.Parser

    def counting(text: str) -> Any:
        read.append(text)
        return parser(text)

    monkeypatch.setattr(yaml_source, "Parser", counting)
    file.write_text(base_text(100) + ROUTES.format(n=100, m=0))
    loader.load(file)
    assert [text for text in read if "name:" in text] == [ROUTES.format(n=100, m=0)]


def test_a_change_of_the_environment_reaches_an_item_that_did_not_change(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("services:\n  - name: s\n    url: http://${env:HOST}\n")
    loader = Loader()
    assert b"first" in loader.load(file, {"HOST": "first"}).plan
    assert b"second" in loader.load(file, {"HOST": "second"}).plan


def test_a_change_of_a_certificate_reaches_a_service_that_did_not_change(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("services:\n  - name: s\n    url: https://a\n    tls: {ca: ca.pem}\n")
    loader = Loader()
    for text in ("first", "second"):
        (tmp_path / "ca.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n")
        assert text.encode() in loader.load(file).plan


def test_a_change_of_the_gateway_s_policies_reaches_every_route(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    loader = Loader()
    file.write_text(base_text(3))
    assert loader.load(file).plan.count(b'"request_id":{') == 4
    file.write_text(base_text(3).replace("request_id: {}", "request_id: off"))
    assert loader.load(file).plan.count(b'"request_id":{') == 0


def test_files_of_a_folder_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "10-services.yaml").write_text("services: [{name: s, url: 'http://a'}]\ntrusted_proxies: [10.0.0.1]\n")
    (tmp_path / "20-routes.json").write_text(
        '{"routes": [{"name": "r", "service": "s"}], "trusted_proxies": ["10.0.0.2"]}'
    )
    (tmp_path / "30-more.toml").write_text('[[routes]]\nname = "t"\nservice = "s"\n')
    (tmp_path / "README.md").write_text("not a part of it")
    loaded = load(tmp_path)
    assert re.findall(rb'"routes":\[\{"name":"r".*\{"name":"t"', loaded.plan)
    assert b'["10.0.0.1/32","10.0.0.2/32"]' in loaded.plan
    assert [file.name for file in loaded.files] == ["10-services.yaml", "20-routes.json", "30-more.toml"]
    assert loaded.folders == (tmp_path,)


def test_a_setting_in_two_files_names_both(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("workers: 1\ntrusted_proxies: [10.0.0.1]")
    (tmp_path / "b.yaml").write_text("\nworkers: 2\ntrusted_proxies:\n  - nonsense\n")
    with pytest.raises(ConfigError) as error:
        load(tmp_path)
    assert [(problem.place(), problem.message) for problem in error.value.problems] == [
        (f"{tmp_path}/b.yaml:2", f"`workers` is already set in {tmp_path}/a.yaml:1"),
        (f"{tmp_path}/b.yaml:4", "expected an address or a network such as `10.0.0.0/8`, got `nonsense`"),
    ]
