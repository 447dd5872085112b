"""The JSON Schema of the document (draft 2020-12), made from the models."""

from __future__ import annotations

from typing import Any

from tidegate.config import kong
from tidegate.config.calling import SWITCHES
from tidegate.config.gateway import Gateway

DIALECT = "https://json-schema.org/draft/2020-12/schema"


_KONG = {"description": "Kong's; taken where it changes nothing, and without effect.", "deprecated": True}
_INTERPOLATED = {"type": "string", "pattern": r"\$\{(env|file):"}


def schema() -> dict[str, Any]:
    """The schema, as editors take it."""
    made: dict[str, Any] = _tidied(Gateway.model_json_schema(by_alias=True, mode="validation"))
    made["properties"]["admin"]["anyOf"].append({"enum": ["off", False]})
    # Which of their values are taken is told when the document is loaded.
    for kind, keys in kong.NAMES.items():
        part = made if kind == "gateway" else made["$defs"][kind.removesuffix("s").title()]
        part["properties"] |= {key: _KONG for key in keys if key not in part["properties"]}
    switches = [made["$defs"][model]["properties"][key] for model, keys in SWITCHES.items() for key in keys]
    for switched in [*made["$defs"]["Policies"]["properties"].values(), *switches]:
        switched["anyOf"] = [
            *(option for option in switched.get("anyOf", ()) if option.get("type") != "null"),
            {"enum": ["off", "on", True, False, None]},
        ]
    return {"$schema": DIALECT, "title": "Tidegate", **{key: value for key, value in made.items() if key != "title"}}


def schema_of_tests() -> dict[str, Any]:
    """The schema of a file of tests."""
    from tidegate.testing.suite.model import Suite

    made: dict[str, Any] = _tidied(Suite.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": DIALECT, "title": "Tests", **{key: value for key, value in made.items() if key != "title"}}


def _tidied(value: Any) -> Any:
    """Without the titles that pydantic makes of names, and with `${...}` in the place of numbers and truth values."""
    if isinstance(value, dict):
        if value.get("type") in ("integer", "boolean") and "const" not in value:
            beside = {key: entry for key, entry in value.items() if key in ("description", "default")}
            bare = {key: entry for key, entry in value.items() if key not in beside and key != "title"}
            value = {"anyOf": [bare, _INTERPOLATED], **beside}
            return {key: _tidied(entry) if key != "anyOf" else entry for key, entry in value.items()}
        plain = {key: _tidied(entry) for key, entry in value.items() if not (key == "title" and _made(entry))}
        if "description" in plain and isinstance(plain["description"], str):
            plain["description"] = " ".join(plain["description"].partition("\n\n")[0].split())
        return plain
    return [_tidied(entry) for entry in value] if isinstance(value, list) else value


def _made(title: object) -> bool:
    return isinstance(title, str) and title[:1].isupper()
