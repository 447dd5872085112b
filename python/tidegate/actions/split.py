"""A route whose requests are split over several services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tidegate.actions.proxy import plan_proxy
from tidegate.config.base import Model
from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote
from tidegate.config.service_reference import ServiceReference
from tidegate.config.values import Integer, Text, Texts

if TYPE_CHECKING:
    from tidegate.config.routes import Route

MOST_SERVICES = 16


class SplitService(Model):
    """One of the services that a route's requests are split over."""

    service: ServiceReference = Field(description="Name of the service.")
    weight: Integer = Field(
        1,
        ge=0,
        le=1_000_000,
        description="Its share, against those of the others. With 0 it gets only requests that ask for it by `header` "
        "or `cookie`.",
    )
    name: Text | None = Field(
        None,
        min_length=1,
        description="What `header`, `cookie` and the access log call it. Unless set, as the service.",
    )


class SideChoice(Model):
    """How it is decided which service a request goes to, beside the weights."""

    key: Texts = Field(
        default_factory=list,
        description="Requests with the same value go to the same service. A text with references such as "
        "`{claims.sub}`; of a list, the first whose references all have a value. Without, and without a value, each "
        "request is drawn by itself.",
    )
    header: Text | None = Field(None, description="Header whose value names the service, whatever the weights say.")
    cookie: Text | None = Field(None, description="Cookie that does; it needs `believe: anyone`.")
    believe: Literal["trusted_proxies", "anyone"] = Field(
        "trusted_proxies",
        description="Whose `header` counts. It is taken out of the requests of all others.",
    )

    def plan_choice(self, check: Check, path: Path) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        if self.cookie is not None and not TOKEN.fullmatch(self.cookie):
            check.problem((*path, "cookie"), "bad_value", f"{quote(self.cookie)} is not a name of a cookie")
        if self.cookie is not None and self.believe != "anyone":
            message = "a cookie comes from the client itself, whatever proxy is before it"
            check.problem((*path, "cookie"), "bad_value", message, "write `believe: anyone` where any may choose")
        if "believe" in self.model_fields_set and self.header is None and self.cookie is None:
            check.problem((*path, "believe"), "bad_value", "there is no `header` or `cookie` to believe")
        return {
            "key": [check.template(text, (*path, "key")) for text in self.key],
            "header": None if self.header is None else check.header(self.header, (*path, "header")),
            "cookie": self.cookie,
            "believe_anyone": self.believe == "anyone",
        }


class Split(SideChoice):
    """Splits the requests of a route over several services by weight."""

    services: list[SplitService] = Field(description="The services, with their weights.")

    def plan(self, route: Route, check: Check, calling: Mapping[str, Any]) -> dict[str, Any]:
        """The action as the engine takes it.

        `calling`: how its services are called, all in the same way where the route says anything about it.
        """
        if not 2 <= len(self.services) <= MOST_SERVICES:
            message = f"a split has 2 to {MOST_SERVICES} services, this one has {len(self.services)}"
            check.problem(("split", "services"), "bad_value", message)
        elif all(side.weight == 0 for side in self.services):
            check.problem(("split", "services"), "bad_value", "every service has the weight 0, so none gets a request")
        self._unique(check)
        return {
            "split": {
                "sides": [
                    {
                        "name": side.name or side.service,
                        "weight": side.weight,
                        "proxy": plan_proxy(route, str(side.service), check, calling)["proxy"],
                    }
                    for side in self.services
                ],
                **self.plan_choice(check, ("split",)),
                "canary": None,
            }
        }

    def _unique(self, check: Check) -> None:
        for name, values in (
            ("service", [side.service for side in self.services]),
            ("name", [side.name or side.service for side in self.services]),
        ):
            for index, value in enumerate(values):
                if value in values[:index]:
                    path = ("split", "services", index, name)
                    check.problem(path, "duplicate_name", f"{quote(str(value))} is already there")
                    return
