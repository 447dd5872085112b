"""Every action stands under the same name on both sides."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.plan import ACTIONS

ROOT = Path(__file__).parents[2]
OF_THE_GATEWAY = {"signing_keys"}
"""Actions of routes that the gateway adds itself; no document names them."""
AROUND_OTHERS = {"mirror"}
"""Actions around another, which a document names beside it."""
NAMES = {"proxy" if name == "service" else name for name in ACTIONS} | OF_THE_GATEWAY | AROUND_OTHERS


def test_the_plan_of_the_engine_has_each() -> None:
    source = (ROOT / "crates" / "engine" / "src" / "plan" / "action.rs").read_text()
    variants = re.search(r"pub enum Action \{(.*?)\}", source, re.DOTALL)
    assert variants is not None
    names = re.findall(r"(\w+)\(", variants[1])
    assert {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names} == NAMES


def test_each_has_a_file_on_both_sides() -> None:
    for folder, suffix, lists in (
        ("python/tidegate/actions", "py", "__init__"),
        ("crates/engine/src/actions", "rs", "mod"),
    ):
        files = {file.stem for file in (ROOT / folder).glob(f"*.{suffix}")}
        assert files - {lists} == NAMES
