"""No part of the plan prints a secret: there is one type for them, and nothing else hides itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLAN = Path(__file__).parents[2] / "crates" / "engine" / "src" / "plan"
FILES = sorted(file for file in PLAN.glob("*.rs") if file.name != "secret.rs")
PLAIN = re.compile(
    r"^ +(?:pub )?(?:\w*(?:secret|password|passphrase|token|private)\w*|key|keys): (?:Option<|Vec<)*String\b|"
    r"\w*(?:Secret|Password|Token|Key)\w*\((?:Vec<)?String",
    re.MULTILINE,
)
NO_SECRETS = {"token_type_hint: Option<String", "PublicKeys(Vec<String"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_may_be_a_secret_is_of_the_type_of_secrets(file: Path) -> None:
    found = {text.strip().removeprefix("pub ") for text in PLAIN.findall(file.read_text())}
    assert found <= NO_SECRETS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_everything_prints_itself_as_derived(file: Path) -> None:
    assert "Debug for" not in file.read_text()
