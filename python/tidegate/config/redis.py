"""The Redis or Valkey that gateways share."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BeforeValidator, Field

from tidegate.config import addresses
from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.files import Files
from tidegate.config.problem import Interpolated, Path, quote
from tidegate.config.services import ServiceTls
from tidegate.config.values import Duration, Integer, Text, Truth

DEFAULT_PORT = 6379
_URL = re.compile(r"(redis|rediss|valkey|valkeys)://(?:([^@/]*)@)?([^/?#]*)(?:/([0-9]*))?", re.DOTALL)
_PREFIX = re.compile(r"[!-z|~]*")
"""Printable, without spaces and braces: a brace would begin a cluster's hash tag."""


class Redis(Model):
    """A Redis or Valkey server, or a cluster, where gateways share limits."""

    url: Text | None = Field(
        None,
        description="`redis://user:password@host:6379/0`, `rediss://...` with TLS, or `unix:/path`. Take it from the "
        "environment, `${env:REDIS_URL}`, when it holds a password.",
    )
    nodes: list[Text] = Field(
        default_factory=list,
        description="Of a cluster: `host:port` of some nodes to begin with, instead of `url`. The others are found.",
    )
    cluster: Truth = Field(
        False, description="The server is a cluster: keys are spread over its nodes and followed when they move."
    )
    username: Text | None = Field(None, description="User, where the server has more than the default one.")
    password: Text | None = Field(None, description="Password, as a reference: `${env:REDIS_PASSWORD}`.")
    database: Integer | None = Field(None, ge=0, le=65535, description="Number of the database; a cluster has only 0.")
    tls: ServiceTls | None = Field(
        None, description="TLS to the server. A `rediss` url has it with defaults; with `nodes`, `tls: {}` turns it on."
    )
    prefix: Text = Field(
        "tidegate:", description="Begins every key. Gateways share what they count when they have the same prefix."
    )
    timeout: Duration = Field(
        20,
        description="Longest time a request waits for the server; then the policy's `on_store_failure` holds.",
    )

    def plan(self, check: Check, path: Path, files: Files) -> dict[str, Any] | None:
        """The options as the engine takes them."""
        from tidegate.plan import service_tls

        place = _Place(self, check, path)
        if self.cluster and place.database:
            check.problem((*path, "database"), "bad_value", "a cluster has only the database 0")
        if not self.cluster and len(place.nodes) > 1:
            hint = "write `cluster: true`, or keep one of them"
            check.problem((*path, "nodes"), "bad_value", "only a cluster has more than one node", hint)
        if not _PREFIX.fullmatch(self.prefix) or len(self.prefix) > 64:
            message = "a prefix is at most 64 printable characters without spaces and braces"
            check.problem((*path, "prefix"), "bad_value", message)
        if place.username is not None and place.password is None:
            check.problem((*path, "username"), "missing", "`password` is missing; it goes with `username`")
        tls = None
        if place.tls:
            inner = Check()
            tls = service_tls(self.tls or ServiceTls(), place.host, inner, files)
            for finding in inner.findings:
                check.findings.append(finding._replace(path=(*path, *finding.path)))
        elif self.tls is not None:
            hint = "write `rediss://` in the `url`"
            check.problem((*path, "tls"), "bad_value", "TLS options have no effect on a plain `redis` url", hint)
        return {
            "nodes": place.nodes,
            "cluster": self.cluster,
            "tls": tls,
            "username": place.username,
            "password": place.password,
            "database": place.database,
            "prefix": self.prefix,
            "timeout_ms": self.timeout,
        }


class _Place:
    """Where the server is and who we are there, from the url and the options beside it."""

    def __init__(self, redis: Redis, check: Check, path: Path) -> None:
        self.nodes: list[str] = []
        self.tls = redis.tls is not None
        self.host = ""
        self.username = redis.username
        self.password = redis.password
        self.database = redis.database or 0
        if redis.url is not None and redis.nodes:
            check.problem((*path, "nodes"), "bad_value", "`nodes` and `url` exclude each other")
        elif redis.url is not None:
            self._of_url(redis, redis.url, check, path)
        elif redis.nodes:
            for index, node in enumerate(redis.nodes):
                self._add(node, check, (*path, "nodes", index))
        else:
            check.problem(path, "missing", "`url` is missing", "write `url: redis://host:6379`")

    def _of_url(self, redis: Redis, text: str, check: Check, path: Path) -> None:
        where = (*path, "url")
        if text.startswith("unix:"):
            file = text.removeprefix("unix:").removeprefix("//")
            if not file.startswith("/"):
                check.problem(where, "bad_url", f"expected `unix:/path`, got {quote(text)}")
            self.nodes.append(f"unix:{file}")
            return
        match = _URL.fullmatch(text)
        if match is None:
            shown = "" if isinstance(text, Interpolated) or "@" in text else f", got {quote(text)}"
            hint = f"write `redis://{text}`" if shown and ":/" not in text else None
            check.problem(where, "bad_url", f"expected a URL such as `redis://host:6379/0`{shown}", hint)
            return
        scheme, who, authority, database = match.groups()
        self.tls = scheme in ("rediss", "valkeys")
        if who is not None:
            username, _, password = who.partition(":")
            for name, value in (("username", unquote(username)), ("password", unquote(password))):
                if not value:
                    continue
                if getattr(redis, name) is not None:
                    check.problem((*path, name), "bad_value", f"the url holds a {name} already")
                setattr(self, name, value)
        if database:
            if redis.database is not None:
                check.problem((*path, "database"), "bad_value", "the url holds a database already")
            self.database = min(int(database[:6]), 65535)
        self._add(authority, check, where)

    def _add(self, node: str, check: Check, path: Path) -> None:
        authority = addresses.host_port(node, DEFAULT_PORT, check, path)
        if authority is not None:
            self.host = self.host or authority[0].strip("[]")
            self.nodes.append(f"{authority[0]}:{authority[1]}")


def _spelled_out(value: object) -> object:
    """A bare URL stands for the options with only that."""
    return {"url": value} if isinstance(value, str) else value


def _not_off(value: object) -> object:
    return None if value is False or value == "off" else value


RedisOption = Annotated[
    Redis | None,
    BeforeValidator(_not_off),
    BeforeValidator(_spelled_out, json_schema_input_type=Redis | str | None),
]

__all__ = ["DEFAULT_PORT", "Redis", "RedisOption"]
