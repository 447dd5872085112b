"""The targets of a service, and which of them a request goes to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config import addresses
from tidegate.config.base import Model, problem
from tidegate.config.check import TOKEN, Check
from tidegate.config.health import HealthCheck
from tidegate.config.problem import Interpolated, Path, quote
from tidegate.config.values import Duration, Integer, Text, Truth

_SHORTEST_SECRET = 32
_COOKIE_PATH = re.compile(r"/[!-:<-~]*")
"""Printable, without spaces and `;` (RFC 6265 section 4.1.1)."""

Spread = Literal["round_robin", "least_requests", "peak_ewma", "random"]
Algorithm = Literal["round_robin", "least_requests", "peak_ewma", "random", "consistent_hash", "sticky_cookie"]


def _load_factor(value: object) -> object:
    """A number with or without a point; the same as text where it was interpolated."""
    if isinstance(value, Interpolated):
        with contextlib.suppress(ValueError):
            value = float(value[:20])
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 100:
        return float(value)
    raise problem("bad_value", f"expected a number of 1 to 100 such as `1.25`, got {quote(value)}")


if TYPE_CHECKING:
    LoadFactor: TypeAlias = float
else:
    LoadFactor = Annotated[
        float,
        BeforeValidator(_load_factor),
        WithJsonSchema({"type": "number", "minimum": 1, "maximum": 100, "title": "number"}),
    ]


class Target(Model):
    """One address of a service."""

    address: Text = Field(
        description="`host:port`, `[IPv6]:port`, or `unix:/path`. A host without a port takes 80, or 443 with TLS. "
        "With `resolve: srv` a name without a port, such as `_http._tcp.orders.internal`."
    )
    resolve: Literal["one", "each", "srv"] = Field(
        "one",
        description="What a host name stands for: `one` target, whatever its addresses; a target for `each` of its "
        "addresses; or the targets of its service records (`srv`), with their ports, weights and priorities.",
    )
    weight: Integer = Field(
        1,
        ge=0,
        le=65535,
        description="Its share of the requests, in proportion to the others; 0 takes it out, but for clients that "
        "have its cookie.",
    )
    priority: Integer = Field(
        0,
        ge=0,
        le=127,
        description="Targets of 0 are used first. Those of the next number help with the part of the requests that "
        "the first cannot take any more.",
    )


class StickyCookie(Model):
    """The cookie that keeps a client at the target of its first answer."""

    name: Text = Field("tidegate-target", description="Its name.")
    path: Text = Field("/", description="Paths that browsers send it to.")
    max_age: Duration | None = Field(
        None, description="How long browsers keep it, in whole seconds. Without: until they are closed."
    )
    http_only: Truth = Field(True, description="Scripts cannot read it.")
    secure: Truth | None = Field(
        None, description="Only over TLS. Without: as the client came, behind trusted proxies too."
    )
    same_site: Literal["lax", "strict", "none"] = Field(
        "lax", description="Whether pages of other sites send it; `none` needs `secure`."
    )
    secret: Text | None = Field(
        None,
        description="What targets are hidden with, 32 characters or more, the same on every gateway: "
        "`${env:STICKY_SECRET}`. Without, a restart gives every client a new cookie, and so does another gateway.",
    )

    def plan(self, otherwise: str, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if not TOKEN.fullmatch(self.name):
            check.problem((*path, "name"), "bad_value", f"{quote(self.name)} is not the name of a cookie")
        if not _COOKIE_PATH.fullmatch(self.path):
            check.problem((*path, "path"), "bad_path", f"expected a path that starts with `/`, got {quote(self.path)}")
        if self.secret is not None and len(self.secret) < _SHORTEST_SECRET:
            message = f"a secret has {_SHORTEST_SECRET} characters or more"
            check.problem((*path, "secret"), "bad_value", message, "make one with `openssl rand -hex 32`")
        if self.same_site == "none" and self.secure is not True:
            message = "browsers take `same_site: none` only from a secure cookie"
            check.problem((*path, "same_site"), "bad_value", message, "write `secure: true` beside it")
        return {
            "name": self.name,
            "path": self.path,
            "max_age_seconds": None if self.max_age is None else -(-int(self.max_age) // 1000),
            "http_only": self.http_only,
            "secure": self.secure,
            "same_site": self.same_site,
            "secret": self.secret,
            "otherwise": otherwise,
        }


class Balance(Model):
    """Which target a request goes to."""

    algorithm: Algorithm = Field(
        description="`round_robin`: one after the other. `least_requests`: of two by chance, the one with less under "
        "way. `peak_ewma`: of two by chance, the one that should answer sooner. `random`. `consistent_hash`: by `key`. "
        "`sticky_cookie`: a client stays where its first answer came from."
    )
    key: Text | None = Field(
        None,
        description="For `consistent_hash`: requests with the same value go to the same target, such as "
        "`{header.x-tenant}` or `{claims.sub}`. Requests without a value are spread by chance.",
    )
    table: Literal["maglev", "ring"] = Field(
        "maglev",
        description="For `consistent_hash`: `maglev` shares evenly; with a `ring` the keys of other targets do not "
        "move at all when one goes.",
    )
    load_factor: LoadFactor | None = Field(
        None,
        description="For `consistent_hash`: a target has at most so many times its share of the requests under way; "
        "what is more goes to the next one of the key. Without, a key stays however busy its target is.",
    )
    cookie: StickyCookie = Field(default_factory=StickyCookie, description="For `sticky_cookie`: the cookie.")
    otherwise: Spread = Field(
        "least_requests", description="For `sticky_cookie`: where clients without a cookie go, by another algorithm."
    )

    def plan(self, check: Check, path: Path) -> str | dict[str, Any]:
        """The options as the engine takes them."""
        takes = {"consistent_hash": ("key", "table", "load_factor"), "sticky_cookie": ("cookie", "otherwise")}
        for algorithm, names in takes.items():
            for name in names:
                if name in self.model_fields_set and self.algorithm != algorithm:
                    check.problem((*path, name), "bad_value", f"`{name}` goes with `algorithm: {algorithm}`")
        if self.algorithm == "sticky_cookie":
            return {"sticky_cookie": self.cookie.plan(self.otherwise, check, (*path, "cookie"))}
        if self.algorithm != "consistent_hash":
            return self.algorithm
        if self.key is None:
            hint = "write `key: '{header.x-tenant}'`, for example"
            check.problem((*path, "key"), "missing", "`key` is missing; `consistent_hash` goes by it", hint)
        template = check.template(self.key or "", (*path, "key"))
        if self.key is not None and not any("reference" in part for part in template):
            check.problem((*path, "key"), "bad_value", "a key without a reference is the same for all requests")
        most = None if self.load_factor is None else round(self.load_factor * 100)
        return {"consistent_hash": {"key": template, "table": self.table, "most_percent": most}}


def spelled_out(value: object) -> object:
    """A bare address stands for a target with only that."""
    return {"address": value} if isinstance(value, str) else value


def _spelled_out(value: object) -> object:
    """A bare word stands for the options with only that."""
    return {"algorithm": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    BalanceOption: TypeAlias = Balance | Algorithm
else:
    BalanceOption = Annotated[Balance, BeforeValidator(_spelled_out, json_schema_input_type=Balance | Algorithm)]


class Upstream(Model):
    """The pool of targets of a service that has more than one address."""

    targets: list[Target] = Field(default_factory=list, description="The addresses that share the requests.")
    targets_file: Text | None = Field(
        None,
        description="A YAML or JSON file with more of them: a list of targets, or of addresses. It is watched; a "
        "change is live at once and is no reload.",
    )
    balance: BalanceOption = Field(
        default_factory=lambda: Balance(algorithm="round_robin"),
        description="Which target a request goes to: the name of an algorithm, or its options.",
    )
    health_check: HealthCheck = Field(
        default_factory=HealthCheck, description="How it is found out which targets are well. Without it, all are."
    )
    slow_start: Duration | None = Field(
        None,
        description="How long the share of a target rises to its full size when it is new or healthy again. Not for "
        "`consistent_hash`, whose keys would move with every step.",
    )
    panic_threshold: Integer = Field(
        20,
        ge=0,
        le=100,
        description="When fewer than this percentage of a priority's targets can be used, and no other priority can "
        "help, all of them are used: they may be better than their health, and the few would only fall too. "
        "0: never; then requests get 503 when there is none.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """How targets are chosen, as the engine takes it."""
        assert isinstance(self.balance, Balance), "validation leaves options"
        return {
            "balance": self.balance.plan(check, (*path, "balance")),
            "slow_start_ms": self.slow_start or 0,
            "panic_percent": self.panic_threshold,
        }


def plan_targets(targets: Sequence[Target], default_port: int, check: Check, path: Path) -> list[dict[str, Any]]:
    """Targets as the engine takes them."""
    planned: list[dict[str, Any]] = []
    known: set[str] = set()
    for index, target in enumerate(targets):
        place = (*path, "targets", index)
        one = plan_target(target, default_port, check, place)
        if one["address"] in known:
            message = f"the target `{one['address']}` is already there"
            check.problem((*place, "address"), "duplicate_name", message, "give it a higher `weight` instead")
        elif one["address"]:
            known.add(one["address"])
        planned.append(one)
    if planned and all(target["weight"] == 0 for target in planned):
        message = "every target has the weight 0, so none can be used"
        check.problem((*path, "targets"), "bad_value", message)
    return planned


def plan_target(target: Target, default_port: int, check: Check, path: Path) -> dict[str, Any]:
    """One target as the engine takes it; without an address where that is bad."""
    address = ""
    if target.resolve == "srv":
        address = _service_name(target.address, check, (*path, "address"))
    elif target.address.startswith("unix:"):
        if url := addresses.url(target.address, check, (*path, "address")):
            address = f"unix:{url.unix}"
    elif authority := addresses.host_port(target.address, default_port, check, (*path, "address")):
        address = f"{authority[0]}:{authority[1]}"
    return {"address": address, "weight": target.weight, "priority": target.priority, "resolve": target.resolve}


def _service_name(text: str, check: Check, path: Path) -> str:
    authority = None if ":" in text else addresses.host_port(text, 1, check, path)
    if ":" in text:
        hint = "leave the port out; service records have it"
        check.problem(path, "bad_address", f"expected the name of service records, got {quote(text)}", hint)
    return authority[0] if authority else ""


def only_target(address: str) -> dict[str, Any]:
    """The target of a service with one address."""
    return {"address": address, "weight": 1, "priority": 0, "resolve": "one"}


ONE = Upstream.model_construct(
    targets=[], balance=Balance(algorithm="round_robin"), slow_start=None, panic_threshold=20
)
"""How the only target of a service is chosen."""
