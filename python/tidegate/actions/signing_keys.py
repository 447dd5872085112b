"""Answers with the public keys that tokens of the gateway are checked with; for routes that the gateway adds itself."""

from __future__ import annotations

import json
from collections.abc import Iterable


def signing_keys_route(path: str, keys: Iterable[str], policies: str) -> str:
    """The part of the plan of the route that publishes keys at `path`, all parts as JSON."""
    segments = [{"literal": segment} for segment in path.removeprefix("/").split("/")]
    matched = json.dumps({"hosts": [], "paths": [{"exact": segments}], "methods": ["GET", "HEAD"]})
    return (
        f'{{"name":{json.dumps(f"signing keys at {path}")},{matched[1:-1]},"headers":[],"query":[],"cookies":[],'
        f'"action":{{"signing_keys":[{",".join(keys)}]}},"timeout_ms":null,"body_bytes":0,"policies":{policies}}}'
    )
