"""Tells browsers what they may do with an answer, and takes out what tells attackers about the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Texts, Truth, text
from tidegate.policies.policy import Policy

if TYPE_CHECKING:
    HeaderText: TypeAlias = str | None
else:
    HeaderText = Annotated[
        str | None,
        BeforeValidator(lambda value: None if value is False or value is None or value == "off" else text(value)),
        PlainSerializer(lambda value: "off" if value is None else value, when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"const": False}], "title": "text or `off`"}),
    ]

_HSTS = "strict_transport_security"


class SecurityHeaders(Policy):
    """Tells browsers what they may do with an answer, and takes out what tells attackers about the service."""

    strict_transport_security: HeaderText = Field(
        "max-age=31536000; includeSubDomains",
        description="Come back over TLS only, for a year. Sent over TLS only, the gateway's or a trusted proxy's.",
    )
    content_security_policy: HeaderText = Field(
        "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
        description="What a page may load and who may frame it. The default breaks hardly any page; a page of your own "
        "deserves a stricter one, and an API `default-src 'none'; frame-ancestors 'none'`.",
    )
    x_content_type_options: HeaderText = Field("nosniff", description="Believe the content type.")
    x_frame_options: HeaderText = Field("DENY", description="As `frame-ancestors`, for old browsers.")
    referrer_policy: HeaderText = Field(
        "strict-origin-when-cross-origin", description="What other sites learn of where a visitor came from."
    )
    permissions_policy: HeaderText = Field(
        "camera=(), geolocation=(), microphone=()", description="Which devices a page may ask for."
    )
    cross_origin_opener_policy: HeaderText = Field(
        "same-origin", description="Keep windows of other origins apart from the page's."
    )
    cross_origin_resource_policy: HeaderText = Field(
        "same-site",
        description="Who may embed the answer without CORS: `same-origin`, `same-site` or `cross-origin`.",
    )
    cross_origin_embedder_policy: HeaderText = Field(
        None,
        description="What a page may embed: `require-corp` isolates it, and breaks it where a resource is not ready.",
    )
    remove: Texts = Field(
        default_factory=lambda: ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"],
        description="Headers of the service to take away.",
    )
    replace: Truth = Field(
        False, description="Put these in place of what a service has set itself. Without, the service knows better."
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        lines = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in ("remove", "replace") or value is None:
                continue
            check.header_value(value, (*path, name))
            if name != _HSTS:
                lines.append({"name": name.replace("_", "-"), "value": value})
        return {
            "strict_transport_security": self.strict_transport_security,
            "set": lines,
            "remove": [check.header(name, (*path, "remove", index)) for index, name in enumerate(self.remove)],
            "replace": self.replace,
        }
