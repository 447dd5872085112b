"""Refuses requests that another site makes a browser send in its user's name (CSRF)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.check import TOKEN, Check
from tidegate.config.origins import origin
from tidegate.config.problem import Path, quote
from tidegate.config.values import Text, Texts
from tidegate.policies.policy import Policy

_SHORTEST_SECRET = 32


class CsrfToken(Model):
    """A token that scripts read from a cookie and send in a header, for browsers before 2020 too."""

    secret: Text = Field(
        description="What tokens are signed with, 32 characters or more, the same on every gateway: "
        "`${env:CSRF_SECRET}`."
    )
    cookie: str = Field("__Host-csrf", description="Cookie that the gateway sets, for scripts to read.")
    header: str = Field("x-csrf-token", description="Header in which they send its value.")
    session_cookie: str | None = Field(
        None,
        description="Cookie that a session is known by. The token is good for that session only, so that a neighbour "
        "who can set cookies cannot bring a token of its own.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        if len(self.secret) < _SHORTEST_SECRET:
            message = f"a secret has {_SHORTEST_SECRET} characters or more"
            check.problem((*path, "secret"), "bad_value", message, "make one with `openssl rand -hex 32`")
        for name in ("cookie", "session_cookie"):
            cookie = getattr(self, name)
            if cookie is not None and not TOKEN.fullmatch(cookie):
                check.problem((*path, name), "bad_value", f"{quote(cookie)} is not the name of a cookie")
        return {
            "secret": self.secret,
            "cookie": self.cookie,
            "header": check.header(self.header, (*path, "header")),
            "session_cookie": self.session_cookie,
        }


class Csrf(Policy):
    """Refuses requests that another site makes a browser send in its user's name (CSRF)."""

    trusted_origins: Texts = Field(
        default_factory=list,
        description="Other origins whose pages may send requests, such as `https://shop.example.com`. Each of them "
        "whole.",
    )
    token: CsrfToken | None = Field(
        None, description="Ask for a token as well. Without, what browsers say of a request is enough."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        return {
            "trusted_origins": [
                origin(text, check, (*path, "trusted_origins", index))
                for index, text in enumerate(self.trusted_origins)
            ],
            "token": None if self.token is None else self.token.plan(check, (*path, "token")),
        }
