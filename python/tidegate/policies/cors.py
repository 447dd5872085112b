"""Lets scripts of other origins read the answers (CORS)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.config.check import TOKEN, Check
from tidegate.config.origins import pattern
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Texts, Truth
from tidegate.policies.policy import Policy


class Cors(Policy):
    """Lets scripts of other origins read the answers (CORS), and answers their preflights."""

    origins: Texts = Field(
        min_length=1,
        description="Who may read: `https://shop.example.com`, `https://*.example.com` for every host below a domain, "
        "`~regex`, which has to match the whole origin, or `*` for everybody.",
    )
    credentials: Truth = Field(
        False, description="Let browsers send cookies and other credentials along. Never together with `*`."
    )
    allow_methods: Texts | None = Field(
        None, description="Methods that other origins may use. Without, all that the route takes."
    )
    allow_headers: Texts | None = Field(
        None, description="Request headers that other origins may set. Without, any; an empty list is none."
    )
    expose_headers: Texts = Field(
        default_factory=list, description="Headers of answers that scripts may read, beside the few they always may."
    )
    max_age: Duration = Field(
        600_000, description="How long a browser may remember the answer to a preflight. It may do so for less."
    )
    private_network: Truth = Field(
        False, description="Let public websites reach this gateway in a private network (Private Network Access)."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        origins = [pattern(text, check, (*path, "origins", index)) for index, text in enumerate(self.origins)]
        if self.credentials:
            self._check_credentials(check, path)
        methods, headers = self.allow_methods, self.allow_headers
        return {
            "origins": origins,
            "credentials": self.credentials,
            "allow_methods": None if methods is None else _tokens(methods, check, (*path, "allow_methods"), str.upper),
            "allow_headers": None if headers is None else _tokens(headers, check, (*path, "allow_headers"), str.lower),
            "expose_headers": _tokens(self.expose_headers, check, (*path, "expose_headers"), str.lower),
            "max_age_seconds": int(self.max_age) // 1000,
            "private_network": self.private_network,
        }

    def _check_credentials(self, check: Check, path: Path) -> None:
        """With credentials a mistake hands out what belongs to users; there `*` is also no wildcard to browsers."""
        dangerous = {
            "*": ("`*` cannot be used with `credentials`", "name the origins that may act for your users"),
            "null": ("`null` cannot be used with `credentials`", "every page can send it, from a sandboxed frame"),
        }
        for index, text in enumerate(self.origins):
            if text in dangerous:
                check.problem((*path, "origins", index), "bad_value", *dangerous[text])
        for name in ("allow_methods", "allow_headers", "expose_headers"):
            if "*" in (getattr(self, name) or ()):
                hint = "name them" if name == "expose_headers" else f"leave `{name}` out to allow what is asked for"
                check.problem((*path, name), "bad_value", "with `credentials`, `*` means nothing to browsers", hint)


def _tokens(names: Texts, check: Check, path: Path, case: Any) -> list[str]:
    for index, name in enumerate(names):
        if not TOKEN.fullmatch(name):
            check.problem((*path, index), "bad_value", f"{quote(name)} is not a name")
    return [case(name) for name in names]
