"""Counts who still uses a version of an API, tells that it ends, and ends it."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any, Literal, cast

from pydantic import Field

from tidegate.config.check import Check
from tidegate.config.days import Day
from tidegate.config.problem import Path, quote
from tidegate.config.values import Text
from tidegate.policies.policy import Policy


class ApiVersion(Policy):
    """Counts who still uses a version of an API, tells that it ends, and ends it.

    The `versions` of a route write it themselves; it also stands alone, where a route has one version that ends.
    """

    name: Text = Field(min_length=1, description="The version, in metrics: `orders@1`.")
    deprecated: Day | None = Field(
        None, description="Since when it is deprecated: a day, or a time. Told in `Deprecation` (RFC 9745)."
    )
    sunset: Day | None = Field(
        None, description="When it ends: a day, or a time. Told in `Sunset` (RFC 8594), and 410 from then on."
    )
    after_sunset: Literal["gone", "serve"] = Field(
        "gone", description="`serve`: nothing ends, it is told all the same."
    )
    link: Text | None = Field(None, description="Where people read about it: an `https` address, told in `Link`.")
    vary: Text | None = Field(
        None, description="Header that chose the version, which caches must know: told in `Vary`."
    )
    refuse: Literal["unknown", "missing", "not_acceptable"] | None = Field(
        None, description="Every request: it names a version that is not there, or none."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        deprecated, sunset = cast("int | None", self.deprecated), cast("int | None", self.sunset)
        if deprecated is not None and sunset is not None and sunset < deprecated:
            # RFC 9745 section 4: the sunset is not before the deprecation.
            check.problem((*path, "sunset"), "bad_value", "it ends before it is deprecated")
        if self.link is not None and not self.link.startswith(("https://", "http://")):
            check.problem((*path, "link"), "bad_value", f"expected an address with `https://`, got {quote(self.link)}")
        if self.link is not None and set(self.link) & set('<>" \\^`{|}'):
            check.problem((*path, "link"), "bad_value", f"{quote(self.link)} is not an address")
        if self.link is not None and deprecated is None and sunset is None:
            check.problem(
                (*path, "link"), "bad_value", "there is nothing to read about: neither `deprecated` nor `sunset`"
            )
        links = []
        for relation, told in (("deprecation", deprecated), ("sunset", sunset)):
            if told is not None and self.link is not None:
                links.append(f'<{self.link}>; rel="{relation}"')
        return {
            "name": self.name,
            "deprecation": None if deprecated is None else f"@{deprecated}",
            "sunset": None if sunset is None else formatdate(sunset, usegmt=True),
            "links": [check.header_value(link, (*path, "link")) or link for link in links],
            "gone_at_ms": sunset * 1000 if sunset is not None and self.after_sunset == "gone" else None,
            "vary": None if self.vary is None else check.header(self.vary, (*path, "vary")),
            "refuse": self.refuse,
        }
