"""Routes with several versions: each becomes a route of its own, with the condition that asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tidegate.config.check import Check
from tidegate.config.problem import Path, did_you_mean, quote
from tidegate.config.routes import Answering, MediaType, Route, Version
from tidegate.plan import ACTIONS, PROXY_OPTIONS

_BY = re.compile(r"\{(header|query|cookie|path)\.([^{}\s]+)\}")
_PLACE = "{version}"
_ANSWERS = (*ACTIONS, "canary", "mirror")
"""Keys of a route of which a version takes none along when it has an action of its own."""
_OWN = frozenset({"name", "deprecated", "sunset", "after_sunset", "link", "enabled"})
"""Keys of a version that are none of a route."""


@dataclass(frozen=True)
class Expanded:
    """A route that came of another."""

    route: Route
    at: int | None
    """The place of its version in the list; `None` for one that no version takes."""
    repeats: bool = False
    """What is wrong with it is told elsewhere already."""


def expanded(route: Route) -> list[Expanded]:
    """The routes of all its versions, and of requests that name none, or none that there is."""
    versions = route.versions
    assert versions is not None, "asked for routes with versions only"
    chosen = _Choice.of(route)
    if chosen is None:
        return []
    found: list[Expanded] = []
    names = [version.name for version in versions.list]
    for index, version in enumerate(versions.list):
        if version.enabled and version.name not in names[:index]:
            found.append(Expanded(chosen.asked(route, version), index))
    for index, version in enumerate(versions.list):
        if version.enabled and version.name == versions.default:
            found.append(Expanded(chosen.unasked(_answering(route, version, "default", chosen)), index, repeats=True))
    return found + [Expanded(refusal, None) for refusal in chosen.refusals(route, versions.default is None)]


def check_versions(route: Route, check: Check) -> None:
    """Tells what is wrong with the versions as such."""
    versions = route.versions
    assert versions is not None, "asked for routes with versions only"
    path: Path = ("versions",)
    names = [version.name for version in versions.list]
    for index, name in enumerate(names):
        if name in names[:index]:
            check.problem(
                (*path, "list", index, "name"), "duplicate_name", f"the version {quote(name)} is already there"
            )
    default = versions.default
    if default is not None and default not in [version.name for version in versions.list if version.enabled]:
        hint = did_you_mean(default, names) or "write the `name` of one"
        check.problem((*path, "default"), "unknown_name", f"there is no version {quote(default)}", hint)
    if isinstance(versions.by, MediaType):
        if versions.by.media_type.count(_PLACE) != 1 or "/" not in versions.by.media_type:
            hint = "such as `application/vnd.shop.v{version}+json`"
            message = f"expected a media type with `{_PLACE}` in it, got {quote(versions.by.media_type)}"
            check.problem((*path, "by", "media_type"), "bad_value", message, hint)
        return
    match = _BY.fullmatch(versions.by)
    if match is None:
        hint = "write `{header.x-api-version}`, `{query.version}`, `{cookie.version}`, `{path.version}` or `media_type`"
        check.problem((*path, "by"), "bad_value", f"{quote(versions.by)} names no version", hint)
    elif match[1] == "path" and not all("{" + match[2] + "}" in text.split("/") for text in route.paths):
        hint = f"such as `/api/{{{match[2]}}}/orders`"
        check.problem((*path, "by"), "bad_value", f"not every path of the route has a segment `{{{match[2]}}}`", hint)
    elif match[1] == "path" and not route.paths:
        check.problem((*path, "by"), "bad_value", "the route has no `paths`")


@dataclass(frozen=True)
class _Choice:
    """What tells which version is asked for."""

    kind: str
    """`headers`, `query` or `cookies` of a route, `path`, or `media_type`."""
    name: str

    @classmethod
    def of(cls, route: Route) -> _Choice | None:
        assert route.versions is not None, "asked for routes with versions only"
        by = route.versions.by
        if isinstance(by, MediaType):
            return cls("media_type", by.media_type) if by.media_type.count(_PLACE) == 1 else None
        match = _BY.fullmatch(by)
        if match is None:
            return None
        kind = {"header": "headers", "cookie": "cookies"}.get(match[1], match[1])
        return cls(kind, match[2])

    @property
    def vary(self) -> str | None:
        """The header that caches must know."""
        return {"headers": self.name.lower(), "media_type": "accept", "cookies": "cookie"}.get(self.kind)

    def asked(self, route: Route, version: Version) -> Route:
        """The route of those who ask for a version."""
        copy = _answering(route, version, version.name, self)
        if self.kind == "path":
            segment = "{" + self.name + "}"
            paths = [
                "/".join(version.name if part == segment else part for part in _parts(text)) for text in route.paths
            ]
            return copy.model_copy(update={"paths": paths})
        return self._where(copy, [version.name])

    def unasked(self, route: Route) -> Route:
        """The same for those who ask for none."""
        if self.kind != "path":
            return route
        segment = "{" + self.name + "}"
        paths = ["/".join(part for part in _parts(text) if part != segment) for text in route.paths]
        return route.model_copy(update={"paths": [text if text not in ("", "=") else f"{text}/" for text in paths]})

    def refusals(self, route: Route, missing: bool) -> list[Route]:
        """The routes of those who ask for a version that is not there, or for none where one is needed.

        A path with an unknown version is the path of no route.
        """
        if self.kind == "path":
            return []
        unknown = "not_acceptable" if self.kind == "media_type" else "unknown"
        refused = [self._where(_refusing(route, unknown, self), [])]
        return [*refused, _refusing(route, "missing", self)] if missing else refused

    def _where(self, route: Route, names: list[str]) -> Route:
        """With the condition for these names; none: for every name."""
        if self.kind == "media_type":
            before, _, after = self.name.partition(_PLACE)
            name = "|".join(map(re.escape, names)) or "[A-Za-z0-9._-]+"
            media = f"{re.escape(before)}(?:{name}){re.escape(after)}"
            condition = {"accept": [rf"~(?i)(?:.*,)?\s*{media}\s*(?:[;,].*)?"]}
            return route.model_copy(update={"headers": {**route.headers, **condition}})
        return route.model_copy(update={self.kind: {**getattr(route, self.kind), self.name: names}})


def _parts(path: str) -> list[str]:
    return path.split("/")


def _answering(route: Route, version: Version, name: str, choice: _Choice) -> Route:
    """The route with a version's own action and settings over its own."""
    own: dict[str, Any] = {
        key: getattr(version, key)
        for key in Answering.model_fields
        if key in version.model_fields_set and key not in _OWN | {"policies"}
    }
    if any(own.get(action) is not None for action in ACTIONS):
        proxied = own.get("service") is not None or own.get("split") is not None
        cleared = {*_ANSWERS, *(() if proxied else PROXY_OPTIONS)} - own.keys()
        route = route.model_copy(update={key: Route.model_fields[key].default for key in cleared})
        route.model_fields_set.difference_update(cleared)
    told = {key: getattr(version, key) for key in ("deprecated", "sunset", "after_sunset", "link")}
    policies = {
        **{key: getattr(route.policies, key) for key in route.policies.model_fields_set},
        **{key: getattr(version.policies, key) for key in version.policies.model_fields_set},
    }
    return _with(route, name, policies, {**told, "name": f"{route.name}@{version.name}"}, choice, own)


def _refusing(route: Route, why: str, choice: _Choice) -> Route:
    from tidegate.actions.respond import Respond

    route = route.model_copy(update=dict.fromkeys(_ANSWERS))
    route.model_fields_set.difference_update(Answering.model_fields)
    policies = {key: getattr(route.policies, key) for key in route.policies.model_fields_set}
    told = {"name": f"{route.name}@{why}", "refuse": why}
    return _with(route, why, policies, told, choice, {"respond": Respond(status=404)})


def _with(
    route: Route, name: str, policies: dict[str, Any], told: dict[str, Any], choice: _Choice, own: dict[str, Any]
) -> Route:
    from tidegate.policies import Policies
    from tidegate.policies.api_version import ApiVersion

    version = ApiVersion.model_construct(**told, vary=choice.vary)
    names = {*policies, "api_version"}
    all_policies = Policies.model_construct(_fields_set=names, **{**policies, "api_version": version})
    update = {**own, "name": f"{route.name}@{name}", "versions": None, "policies": all_policies}
    return route.model_copy(update=update)
