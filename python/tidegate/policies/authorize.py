"""Lets a request on when a rule allows it: scopes, roles, claims, consumers, or an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Text, Texts, Truth
from tidegate.policies.policy import Policy

_SCALAR: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]}
_SCALARS: dict[str, Any] = {"type": "array", "items": _SCALAR}
_LARGEST = 1 << 63


def _wanted(value: object) -> object:
    """`x`, `[x]`, `{any: [...]}` or `{all: [...]}` as the engine takes it."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("any", "all"):
        ((word, values),) = value.items()
        return {word: _scalars(values if isinstance(values, list) else [values])}
    values = _scalars(value if isinstance(value, list) else [value])
    if len(values) > 1:
        hint = "write `{any: [...]}` for one of them, `{all: [...]}` for every one"
        raise problem("bad_value", "one of these, or all of them?", hint)
    return {"any": values}


def _scalars(values: list[object]) -> list[object]:
    if not values:
        raise problem("bad_value", "expected at least one value")
    for value in values:
        if not isinstance(value, str | int) or (isinstance(value, int) and not -_LARGEST <= value < _LARGEST):
            raise problem("wrong_type", f"expected text, a whole number or a truth value, got {quote(value)}")
    return values


def _wanted_claim(value: object) -> object:
    """As `_wanted`; `{present: true}` asks only that the claim is there."""
    return value if value == {"present": True} else _wanted(value)


if TYPE_CHECKING:
    Wanted: TypeAlias = dict[str, Any] | list[Any] | str | None
    WantedClaims: TypeAlias = dict[str, dict[str, Any] | list[Any] | str | int | bool]
else:
    _FORMS: dict[str, Any] = {
        "anyOf": [
            *_SCALAR["anyOf"],
            _SCALARS,
            {"type": "object", "properties": {"any": _SCALARS, "all": _SCALARS}, "additionalProperties": False},
        ],
        "title": "text, `{any: [...]}` or `{all: [...]}`",
    }
    Wanted = Annotated[dict[str, Any] | None, BeforeValidator(_wanted), WithJsonSchema(_FORMS)]
    _PRESENT: dict[str, Any] = {"type": "object", "properties": {"present": {"const": True}}}
    WantedClaims = Annotated[
        dict[str, Annotated[Any, BeforeValidator(_wanted_claim)]],
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {"anyOf": [*_FORMS["anyOf"], _PRESENT]},
                "title": "mapping of name to value, `{any: [...]}`, `{all: [...]}` or `{present: true}`",
            }
        ),
    ]


class Conditions(Model):
    """What a rule asks for. All of it has to hold."""

    methods: Texts = Field(default_factory=list, description="Methods; `GET` stands for `HEAD` too.")
    scopes: Wanted = Field(None, description="Scopes of the token: `scope`, separated by spaces, or else `scp`.")
    roles: Wanted = Field(None, description="Roles, of the claim that `roles_claim` names.")
    groups: Wanted = Field(None, description="Groups, of the claim that `groups_claim` names.")
    claims: WantedClaims = Field(
        default_factory=dict,
        description="Claims by name, with dots into what they hold (`address.country`). A claim that is a list holds "
        "its entries.",
    )
    consumers: Texts = Field(default_factory=list, description="Names of consumers, one of which calls.")
    tiers: Texts = Field(default_factory=list, description="Tiers, one of which the consumer has.")
    tags: Wanted = Field(None, description="Tags of the consumer.")
    when: Text | None = Field(None, description="A CEL expression that has to be true.")

    def conditions(self, check: Check, path: Path) -> dict[str, Any]:
        """The conditions as the engine takes them."""
        for index, method in enumerate(self.methods):
            if not TOKEN.fullmatch(method):
                check.problem((*path, "methods", index), "bad_value", f"{quote(method)} is not a method")
        claims = []
        for name, wanted in self.claims.items():
            if "" in name.split("."):
                check.problem((*path, "claims", name), "bad_value", f"{quote(name)} is not a name of a claim")
            asked = "present" if wanted == {"present": True} else wanted
            claims.append({"path": name.split("."), "wanted": asked})
        return {
            "methods": [method.upper() for method in self.methods],
            "consumers": self.consumers,
            "tiers": self.tiers,
            "tags": self.tags,
            "scopes": self.scopes,
            "roles": self.roles,
            "groups": self.groups,
            "claims": claims,
            "when": None if self.when is None else str(self.when),
        }


CONDITIONS = tuple(Conditions.model_fields)


class Rule(Conditions):
    """One rule. It decides when all of its conditions hold, and no rule before it did."""

    name: Text | None = Field(None, min_length=1, description="What the log calls it. Without, its number, from 1.")
    deny: Truth = Field(False, description="Refuse what it holds for, instead of allowing it.")


class Authorize(Conditions, Policy):
    """Lets a request on when a rule allows it, and refuses all others."""

    rules: list[Rule] = Field(
        default_factory=list,
        description="Rules in their order: the first that holds decides, and none is a refusal. Instead of a list, the "
        "conditions of a single rule may stand here.",
    )
    roles_claim: Text = Field("roles", description="The claim that holds roles, such as `realm_access.roles`.")
    groups_claim: Text = Field("groups", description="The claim that holds groups.")

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        own = sorted(set(CONDITIONS) & self.model_fields_set)
        if own and self.rules:
            message = f"`{own[0]}` stands beside `rules`"
            check.problem((*path, own[0]), "bad_value", message, "put it into a rule")
        if not own and not self.rules:
            check.problem(path, "missing", "there is no rule, so nobody could pass", "write `roles: admin` or `rules`")
        rules = [
            self._rule(rule, str(rule.name or index), rule.deny, check, (*path, "rules", index - 1))
            for index, rule in enumerate(self.rules, 1)
        ]
        if own:
            rules = [self._rule(self, "authorize", False, check, path)]
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.name is not None and rule.name in seen:
                message = f"there is a rule {quote(rule.name)} already"
                check.problem((*path, "rules", index, "name"), "duplicate_name", message)
            seen.add(rule.name or "")
        return {
            "roles_claim": self._claim(self.roles_claim, check, (*path, "roles_claim")),
            "groups_claim": self._claim(self.groups_claim, check, (*path, "groups_claim")),
            "rules": rules,
        }

    @staticmethod
    def _rule(rule: Conditions, name: str, deny: bool, check: Check, path: Path) -> dict[str, Any]:
        if not set(CONDITIONS) & rule.model_fields_set:
            hint = "what no rule allows is refused anyway" if deny else "leave `authorize` out where everybody may pass"
            check.problem(path, "missing", "the rule has no condition, so it holds for everybody", hint)
        return {"name": name, "allow": not deny, **rule.conditions(check, path)}

    @staticmethod
    def _claim(name: str, check: Check, path: Path) -> list[str]:
        if "" in name.split("."):
            check.problem(path, "bad_value", f"{quote(name)} is not a name of a claim")
        return name.split(".")
