"""What an included document has for itself: policies around its routes, and none of the keys of the gateway."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tidegate.config.check import Check
from tidegate.config.files import Files
from tidegate.config.include import ALLOWED
from tidegate.config.problem import Finding, did_you_mean, quote
from tidegate.config.translate import translate
from tidegate.plan import PlannedPolicies, Scope, encode
from tidegate.policies import Policies

if TYPE_CHECKING:
    from tidegate.config.resolve import Resolution


@dataclass(slots=True)
class Around:
    """The policies around the routes of a document: the gateway's, with those of an included document over them."""

    key: str
    policies: PlannedPolicies
    scope: Scope


def not_apart(key: str, known: Collection[str]) -> Finding:
    """The problem of a key that an included document cannot have."""
    if key in known:
        message = f"`{key}` is the gateway's: a document that is included has {', '.join(ALLOWED)}"
        return Finding((), "config.bad_value", message, "write it in the document that includes this one")
    return Finding((), "config.unknown_key", f"unknown key {quote(key)}", did_you_mean(key, ALLOWED))


def policies_of_included(resolution: Resolution, gateway: PlannedPolicies) -> dict[FilePath | None, Around]:
    """The policies around the routes of each document that is included."""
    folder = resolution.folders.get("include", resolution.folder)
    found: dict[FilePath | None, Around] = {}
    for apart in resolution.included:
        policies = {**gateway, **_own(resolution, apart, folder)}
        key = encode(policies)
        found[apart] = Around(key, policies, resolution.scope(key, policies, None))
    return found


def _own(resolution: Resolution, apart: FilePath, folder: FilePath) -> PlannedPolicies:
    """The policies that a document has itself; what they count, they count for all of its routes together."""
    known = resolution.policies_apart.get(apart)
    if known is None:
        return {}
    section, shown, own = known
    check = Check(scope=f"document/{os.path.relpath(apart, folder)}", files=Files(own, resolution.seen))
    try:
        policies = Policies.model_validate({} if section.value is None else section.value).plan(check, ())
    except ValidationError as error:
        resolution.findings(translate(Policies, error), section, shown)
        return {}
    resolution.findings(check.findings, section, shown)
    if check.findings:
        return {}
    resolution.networks_apart |= check.networks
    resolution.implied.add(check.implied)
    return policies
