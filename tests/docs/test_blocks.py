"""Code and data on the pages are well formed, the programs run, and every page can be found.

Whole YAML documents are loaded by `tests/guards/test_pages.py`.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate import load
from tidegate.config import kong

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = [file for file in sorted((ROOT / "examples").glob("*/gateway.*")) if ".test." not in file.name]
PYTHON_GATEWAY = DOCS / "guides" / "python-gateway.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def every(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("text", every("python"))
def test_python_on_a_page_compiles(text: str) -> None:
    compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("text", every("json"))
def test_json_on_a_page_is_json(text: str) -> None:
    json.loads(text)


def test_toml_on_a_page_is_toml() -> None:
    for page in PAGES:
        for text in blocks(page, "toml"):
            tomllib.loads(text)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_the_gateway_in_python_passes_the_test_that_its_page_shows(modules: Path) -> None:
    gateway, _, _, test = blocks(PYTHON_GATEWAY, "python")
    (modules / "gateway.py").write_text(gateway)
    (modules / "test_gateway.py").write_text(test)
    runpy.run_path(str(modules / "test_gateway.py"))["test_greets_by_name"]()


def test_the_gateway_in_python_can_be_written_as_a_document(modules: Path) -> None:
    (modules / "gateway.py").write_text(blocks(PYTHON_GATEWAY, "python")[0])
    document = modules / "gateway.yaml"
    document.write_text(importlib.import_module("gateway").build("http://127.0.0.1:9001").to_yaml())
    load(document)


def test_the_gateway_of_decorators_is_sound(modules: Path) -> None:
    (modules / "decorated.py").write_text(blocks(PYTHON_GATEWAY, "python")[1])
    gateway = importlib.import_module("decorated").gateway
    gateway.check()
    assert [route.name for route in gateway.routes] == ["greet", "create", "order_details"]


def test_problems_are_told_as_the_page_says(tmp_path: Path) -> None:
    program = tmp_path / "problems.py"
    # Without an exception to catch, the assertions of the page would not be reached: so they are counted.
    text = blocks(PYTHON_GATEWAY, "python")[2].replace("as error:\n", "as error:\n    caught.append(error)\n")
    program.write_text(text)
    assert len(runpy.run_path(str(program), {"caught": []})["caught"]) == 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_loads(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / example.parent.name
    shutil.copytree(example.parent, folder)
    if (script := folder / "make-certificates.sh").exists():
        subprocess.run([script, tmp_path / "certificates"], check=True)
        monkeypatch.setenv("CERTIFICATES", str(tmp_path / "certificates"))
    load(folder / example.name)


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    pages = [str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS) and page.name != "README.md"]
    decisions = re.compile(r"decisions/\d{4}-")
    assert [page for page in pages if f"]({page})" not in index and not decisions.match(page)] == []


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the headings: lower case, hyphens for spaces, other marks gone."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_anchor_is_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text())
    targets = [((page.parent / link) if link else page, anchor) for link, anchor in links if "://" not in link]
    assert [f"{target.name}#{anchor}" for target, anchor in targets if anchor not in anchors(target)] == []


def test_the_page_on_kong_has_every_key_that_may_be_refused() -> None:
    table = (DOCS / "guides" / "kong.md").read_text().partition("## A dump, as it is")[2].partition("```yaml")[0]
    told = {key for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    rare = {"_comment", "_ignore", "_konnect", "consumer_groups", "tls_sans", "vaults", "ws_id"}
    assert told == {key for keys in kong.NAMES.values() for key in keys} - rare
