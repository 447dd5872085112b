"""Golden cases: a document, a line of dashes, and the plan or the problems that come out.

A new case is a new file. `UPDATE_GOLDEN=1 pytest tests/golden` writes what comes out into the cases; read the diff.
Of a plan only
the parts that differ from the plan of an empty document are shown. A case may name files of `files/`, and begins with
lines such
as `# env: NAME=value` where it needs an environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, _native
from tidegate.config import Loader
from tidegate.config.verify import with_all

HERE = Path(__file__).parent
CASES = sorted(file for file in HERE.iterdir() if file.suffix in (".yaml", ".json", ".toml"))
DASHES = "\n----------\n"


def outcome(file: Path, environment: dict[str, str]) -> str:
    try:
        loaded = Loader().load(file, environment)
    except ConfigError as error:
        return str(with_all(error)).replace(f"{file.parent}/", "")
    empty = file.with_name("empty.yaml")
    empty.write_text("")
    plain: dict[str, Any] = json.loads(Loader().load(empty, {}).plan)
    assert _native.compile_plan(loaded.plan) == [], "the engine takes what loads"
    plan = {key: value for key, value in json.loads(loaded.plan).items() if value != plain[key]}
    beside = {"admin": loaded.admin, "workers": loaded.workers}
    plan |= {key: value for key, value in beside.items() if value not in ("127.0.0.1:9900", None) or key in file.name}
    return json.dumps(plan, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_case_gives_what_it_says(case: Path, tmp_path: Path) -> None:
    document, _, expected = case.read_text().partition(DASHES)
    for file in (HERE / "files").iterdir():
        shutil.copy(file, tmp_path)
    file = tmp_path / f"gateway{case.suffix}"
    file.write_text(document + "\n")
    environment = dict(re.findall(r"^# env: (\w+)=(.*)$", document, re.MULTILINE))
    found = outcome(file, environment)
    if os.environ.get("UPDATE_GOLDEN"):
        case.write_text(f"{document.rstrip()}{DASHES}{found}\n")
        return
    assert found == expected.rstrip("\n")
