"""A new version of a route's service, which gets more of the requests step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.actions.proxy import plan_proxy
from tidegate.actions.split import SideChoice
from tidegate.config.base import problem
from tidegate.config.check import Check
from tidegate.config.percent import WHOLE, Percent, show_percent
from tidegate.config.problem import quote
from tidegate.config.service_reference import ServiceReference
from tidegate.config.values import Duration, Integer, Text

if TYPE_CHECKING:
    from typing import TypeAlias

    from tidegate.config.routes import Route

MOST_STEPS = 100
STEPS: list[int | float | str] = [100, 500, 2_500, 5_000, WHOLE]


def _ratio(value: object) -> object:
    """A factor, or `off`."""
    if value is False or value == "off":
        return "off"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
        raise problem("bad_value", f"expected a number of 1 to 100 such as `1.5`, or `off`, got {quote(value)}")
    return float(value)


if TYPE_CHECKING:
    Ratio: TypeAlias = float | Literal["off"]
else:
    Ratio = Annotated[
        float | str,
        BeforeValidator(_ratio),
        WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["off", False]}], "title": "number or `off`"}),
    ]


class Canary(SideChoice):
    """A new version of the route's service. It gets more of the requests step by step, and none when it does worse."""

    service: ServiceReference = Field(description="Name of the service that is the new version.")
    name: Text = Field("", description="Another name, or another service, begins the canary anew.")
    steps: list[Percent] = Field(
        default_factory=lambda: list(STEPS),
        description="Its shares of the requests, in percent, one after another. The default is 1, 5, 25, 50, 100.",
    )
    interval: Duration = Field(300_000, description="How long a step lasts at least.")
    minimum_requests: Integer = Field(
        100, ge=1, description="Requests of each of the two in a step without which nothing is decided."
    )
    max_error_increase: Percent = Field(
        100, description="How many more of its requests than of the old version's may fail, in points of percentage."
    )
    max_latency_ratio: Ratio = Field(
        1.5, description="How many times slower it may be; `off`: its time does not matter."
    )
    latency_percentile: Integer = Field(95, ge=50, le=99, description="Which percentile of their times is compared.")

    def plan(self, route: Route, check: Check, calling: Mapping[str, Any]) -> dict[str, Any]:
        """The action of the route as the engine takes it; `calling` as for a split."""
        path = ("canary",)
        if not 1 <= len(self.steps) <= MOST_STEPS:
            check.problem((*path, "steps"), "bad_value", f"a canary has 1 to {MOST_STEPS} steps")
        steps = [int(step) for step in self.steps]
        for index, step in enumerate(steps):
            before = steps[index - 1] if index else 0
            if step <= before:
                message = f"each step is more than the one before it; `{show_percent(step)}` is not"
                check.problem((*path, "steps", index), "bad_value", message)
                break
        if route.service is not None and str(route.service) == self.service:
            check.problem((*path, "service"), "bad_value", f"{quote(str(self.service))} is the service of the route")
        latency = None
        if self.max_latency_ratio != "off":
            latency = {"part": self.latency_percentile * 100, "ratio": round(float(self.max_latency_ratio) * 100)}
        return {
            "split": {
                "sides": [
                    {"name": name, "weight": weight, "proxy": plan_proxy(route, name, check, calling)["proxy"]}
                    for name, weight in ((str(route.service), WHOLE), (str(self.service), 0))
                ],
                **self.plan_choice(check, path),
                "canary": {
                    "name": self.name,
                    "steps": steps,
                    "interval_ms": self.interval,
                    "minimum_requests": self.minimum_requests,
                    "errors": self.max_error_increase,
                    "latency": latency,
                },
            }
        }
