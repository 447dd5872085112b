"""What a document says that can hardly be meant. A warning stops nothing."""

from __future__ import annotations

import json

from tidegate.config.loaded import Loaded
from tidegate.config.precedence import unreachable
from tidegate.config.problem import Problem


def warnings(loaded: Loaded) -> list[Problem]:
    """What to warn of, as problems."""
    if json.loads(loaded.plan)["routes"]:
        return unreachable(loaded)
    file = next((str(file) for file in loaded.documents), None) if len(loaded.documents) == 1 else None
    message = "there are no routes: every request is answered with 404"
    return [Problem("config.no_routes", message, file=file, hint="write some under `routes`")]
