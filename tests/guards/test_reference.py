"""The reference and the schema say what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from tidegate.config import reference
from tidegate.config.schema import schema, schema_of_tests
from tidegate.config.sources import yaml_source

ROOT = Path(__file__).parents[2]
GOLDEN = [
    case
    for case in sorted((ROOT / "tests" / "golden").glob("*.yaml"))
    if case.read_text().partition("\n----------\n")[2].startswith("{") and "env:" not in case.read_text()
]


def test_the_pages_are_fresh() -> None:
    for file, text in reference.pages(ROOT).items():
        assert file.read_text() == text, f"{file}: run `python -m tidegate.config.reference`"


def test_every_model_has_a_section() -> None:
    shown = {model.__name__ for _, model in reference.SECTIONS}
    assert set(schema()["$defs"]) <= shown
    shown = {model.__name__ for _, model in reference.TESTS}
    assert set(schema_of_tests()["$defs"]) <= shown


@pytest.mark.parametrize(
    "model", [model for _, model in (*reference.SECTIONS, *reference.TESTS)], ids=lambda model: model.__name__
)
def test_every_key_is_described_in_a_sentence(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert (field.description or "").rstrip("*").endswith((".", ")")), f"{model.__name__}.{name}"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    json.dumps(schema())


def without_null(data: Any) -> Any:
    """What the loader takes for "not set", where it takes that, the schema does not."""
    if isinstance(data, dict):
        return {key: without_null(value) for key, value in data.items() if value is not None}
    return [without_null(value) for value in data] if isinstance(data, list) else data


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_the_schema_takes_what_loads(case: Path) -> None:
    document = case.read_text().partition("\n----------\n")[0]
    jsonschema.validate(without_null(yaml_source.read(document).value or {}), schema())


def test_the_schema_refuses_an_unknown_key() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"routes": [{"name": "r", "servic": "s"}]}, schema())
