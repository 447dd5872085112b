"""Puts pydantic's errors into our words; its own are never shown."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from tidegate.config import kong
from tidegate.config.base import Model
from tidegate.config.problem import Finding, Interpolated, Path, Problem, did_you_mean, quote, render_path
from tidegate.errors import ConfigError

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_attributes_type": "a mapping",
}
_YES = {
    "yes": "true",
    "on": "true",
    "no": "false",
    "off": "false",
    "y": "true",
    "n": "false",
    "True": "true",
    "False": "false",
}


def translate(model: type[Model], error: ValidationError) -> list[Finding]:
    """The findings of a failed validation, with paths relative to the data that was validated."""
    findings = []
    for entry in error.errors(include_url=False):
        path = tuple(entry["loc"])
        findings.append(_one(model, entry["type"], path, entry.get("input"), entry.get("ctx") or {}))
    return findings


def _one(model: type[Model], kind: str, path: Path, value: Any, context: dict[str, Any]) -> Finding:
    if kind == "tidegate":
        return Finding(without_marks(path), context["code"], context["message"], context["hint"])
    path = without_marks(path)
    if kind == "extra_forbidden":
        inside = _model_at(model, path[:-1])
        known = _keys(inside)
        name = str(path[-1])
        hint = kong.hint(inside, name) or did_you_mean(name, known)
        if (type_name := getattr(inside, "__name__", "")) and (type_name, name) in _LATER:
            hint = _LATER[type_name, name]
        if hint is None and known:
            hint = "known here: " + ", ".join(f"`{key}`" for key in known)
        return Finding(path, "config.unknown_key", f"unknown key {quote(name)}", hint)
    if kind == "missing":
        return Finding(path[:-1], "config.missing", f"{quote(path[-1])} is missing")
    if kind in _EXPECTED:
        hint = _type_hint(kind, value, path or (f"{model.__name__.lower()}s",))
        return Finding(path, "config.wrong_type", f"expected {_EXPECTED[kind]}, got {quote(value)}", hint)
    if kind == "literal_error":
        return _choice(path, value, context)
    if kind in _BOUNDS:
        bound = next(iter(context.values()))
        return Finding(path, "config.bad_value", f"expected {_BOUNDS[kind].format(bound)}, got {quote(value)}")
    if kind in ("string_too_short", "too_short"):
        return Finding(path, "config.bad_value", "must not be empty")
    return Finding(path, "config.bad_value", f"{quote(value)} is not possible here")


_LATER = {("Call", "rpc"): "a call is made by `path`; gRPC methods as calls come with a later version"}
"""Keys that are kept for something that is not there yet."""

_BOUNDS = {
    "greater_than_equal": "at least {}",
    "greater_than": "more than {}",
    "less_than_equal": "at most {}",
    "less_than": "less than {}",
}


def _choice(path: Path, value: Any, context: dict[str, Any]) -> Finding:
    expected = str(context.get("expected", "")).replace("'", "`")
    hint = None
    if path[-1:] == ("protocol",) and value in ("grpc", "grpcs"):
        hint = "write `h2`" if value == "grpc" else "write `h2`, and `tls: {}` or an `https` url"
    elif isinstance(value, str):
        hint = did_you_mean(value, [word.strip("`") for word in expected.replace(" or ", ", ").split(", ")])
    return Finding(path, "config.bad_value", f"expected {expected}, got {quote(value)}", hint)


_FIRST_KEYS = {
    "listeners": "address",
    "admin": "address",
    "targets": "address",
    "respond": "body",
    "redirect": "location",
    "redis": "url",
    "store": "url",
    "backoff": "base",
    "budget": "ratio",
    "bulkhead": "max_requests",
    "canary": "service",
    "deadline": "header",
    "delay": "time",
    "fallback": "service",
    "hedging": "after",
    "mirror": "service",
    "api_key": "header",
    "concurrency": "limit",
    "cors": "origins",
    "forward_auth": "service",
    "introspection": "url",
    "ip": "allow",
    "jwt": "issuer",
    "oidc": "issuer",
    "quota": "limit",
    "rate_limit": "limit",
}
"""What a single value in the place of a mapping is most likely meant to be."""


def _mapping_hint(value: Any, path: Path) -> str | None:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    key = _FIRST_KEYS.get(name)
    if name in ("abort", "fallback") and isinstance(value, int):
        key = "status"
    if name == "policies" and isinstance(value, list):
        return "write each as a key, such as `request_id: {}`"
    if name in ("any_of", "all_of") and isinstance(value, list):
        return "write each as a key, such as `api_key: {}`"
    if key is None or isinstance(value, bool | dict | list | None):
        return None
    shown = quote(value).strip("`")
    if shown[:1] in ("*", "&", "!", "%", "@", "~"):
        shown = f'"{shown}"'
    if isinstance(value, int) and name in ("listeners", "admin"):
        shown = f"127.0.0.1:{shown}"
    return f"write `{{{key}: {shown}}}`"


def _type_hint(kind: str, value: Any, path: Path) -> str | None:
    if _EXPECTED[kind] == "a mapping":
        return _mapping_hint(value, path)
    if kind.startswith("bool") and isinstance(value, str):
        word = _YES.get(value, _YES.get(value.lower()))
        return f"write `{word}`" if word else None
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'write `"{quote(value).strip("`")}"`, in quotes'
    if kind.startswith("int") and isinstance(value, str) and value.isdecimal() and not isinstance(value, Interpolated):
        return f"write `{value}`, without quotes"
    if kind == "list_type" and value is not None and not isinstance(value, dict):
        return f"write `[{quote(value).strip('`')}]`"
    if kind == "list_type" and isinstance(value, dict):
        return "put `- ` before each entry"
    return None


def without_marks(path: Path) -> Path:
    """pydantic marks a bad key of a mapping with a last part of its own, and a chosen form with its tag."""
    return tuple(part for part in path if part not in _MARKS)


_MARKS = ("[key]", "[rate]", "[budget]", "[word]", "[count]", "[number]", "[retries]")


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    found: Any = model
    is_key = False
    for part in path:
        if is_key or isinstance(part, int) or not _is_model(found):
            is_key = False  # of a mapping: any name
            continue
        field = next((field for name, field in found.model_fields.items() if part in (name, field.alias)), None)
        found = _inner(field.annotation) if field else None
        is_key = field is not None and typing.get_origin(field.annotation) is dict
    return found if _is_model(found) else None


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


def _inner(annotation: Any) -> Any:
    """The model inside of `list[X]`, `X | None`, `Annotated[X, ...]`."""
    if _is_model(annotation):
        return annotation
    if typing.get_origin(annotation) in (list, dict, typing.Annotated, typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            if (inner := _inner(argument)) is not None:
                return inner
    return None


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def python_error(model: type[Model], given: dict[str, Any], error: ValidationError) -> ConfigError:
    """The error that `Route(...)` raises in Python."""
    name = given.get("name") or given.get("address")
    title = f"{model.__name__}({name!r})" if isinstance(name, str) else model.__name__
    problems = []
    for finding in translate(model, error):
        inner = render_path(finding.path)
        path = title + ("" if not inner or inner.startswith("[") else ".") + inner
        problems.append(Problem(finding.code, finding.message, path, hint=finding.hint))
    return ConfigError(problems)
