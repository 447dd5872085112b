"""Documents that do not load, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tidegate import ConfigError, load
from tidegate._native import compile_plan

__all__ = ["refusal"]


def refusal(folder: Path, policies: dict[str, Any]) -> str:
    """Every problem of a document with these policies, as text."""
    file = folder / "gateway.json"
    routes = [{"name": "all", "paths": ["/"], "respond": {"status": 204}}]
    file.write_text(json.dumps({"policies": policies, "routes": routes}))
    try:
        loaded = load(file)
    except ConfigError as error:
        return "\n".join(str(problem) for problem in error.problems)
    return "\n".join(str(problem) for problem in loaded.problems(compile_plan(loaded.plan)))
