"""Every policy has what a policy has: options, a place in the engine's plan, a page, and an example that loads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tidegate import load
from tidegate.policies import POLICIES, Policies

ROOT = Path(__file__).parents[2]
HEADINGS = ["When to use it", "Example", "Options", "What the client sees", "Behaviour", "Metrics", "See also"]


@pytest.fixture(params=POLICIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_its_options_stand_in_a_file_of_its_name(name: str) -> None:
    assert POLICIES[name].__module__ == f"tidegate.policies.{name}"
    assert (ROOT / "python" / "tidegate" / "policies" / f"{name}.py").exists()


def test_every_level_knows_it(name: str) -> None:
    assert list(Policies.model_fields) == list(POLICIES)
    assert Policies.model_validate({name: "off"}).model_fields_set == {name}


def test_every_option_is_described(name: str) -> None:
    for option, field in POLICIES[name].model_fields.items():
        assert (field.description or "").endswith("."), f"{name}.{option}"


def test_the_plan_of_the_engine_has_it(name: str) -> None:
    source = (ROOT / "crates" / "engine" / "src" / "plan.rs").read_text()
    variants = re.search(r"pub enum Policy \{(.*?)\}", source, re.DOTALL)
    assert variants is not None
    assert f"    {''.join(word.title() for word in name.split('_'))}(" in variants[1]


def test_the_engine_has_a_file_of_its_name(name: str) -> None:
    assert (ROOT / "crates" / "engine" / "src" / "policies" / f"{name}.rs").exists()


def test_it_is_tested_through_the_front_door(name: str) -> None:
    assert (ROOT / "tests" / "policies" / f"test_{name}.py").exists()


def test_its_page_has_the_usual_headings(name: str) -> None:
    text = (ROOT / "docs" / "policies" / f"{name}.md").read_text()
    assert text.startswith(f"# `{name}`\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS


def test_the_example_of_its_page_uses_it(name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "policies" / f"{name}.md").read_text()
    example = re.search(r"## Example\n.*?```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(example[1])
    for certificate in re.findall(r"[\w-]+\.(?:pem|key)\b", example[1]):  # a reader's own
        (tmp_path / certificate).write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    routes = json.loads(load(file).plan)["routes"]
    assert any(name in policy for route in routes for policy in route["policies"])
