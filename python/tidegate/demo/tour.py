"""The requests of the tour, and what is right about their answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One request, and what must come of it."""

    says: str
    path: str
    status: int
    route: str
    """Name of the route that must match; empty: none."""
    right: Callable[[str], bool]
    """Whether the body is as it should be."""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None

    def curl(self, url: str) -> str:
        """The request as a person would type it."""
        words = ["curl"]
        if self.status >= 300 or self.method == "POST":
            words.append("-i")
        if self.path.endswith("/tracking"):
            words.append("-N")
        if self.method not in ("GET", "POST") or (self.method == "POST" and self.body is None):
            words.append(f"-X {self.method}")
        words += [f"-H '{name}: {value}'" for name, value in self.headers.items()]
        if self.body is not None:
            words.append(f"-d '{self.body}'")
        quoted = f"'{url}{self.path}'" if any(character in self.path for character in "?&%{}") else f"{url}{self.path}"
        return " ".join([*words, quoted])


def _json(check: Callable[[Any], bool]) -> Callable[[str], bool]:
    def right(body: str) -> bool:
        try:
            return check(json.loads(body))
        except (ValueError, KeyError, IndexError, TypeError):
            return False

    return right


def _code(code: str) -> Callable[[str], bool]:
    return _json(lambda problem: problem["code"] == code)


JSON = {"content-type": "application/json"}

STEPS = [
    Step("The gateway answers by itself", "/", 200, "welcome", _json(lambda body: "try" in body)),
    Step("A list from the product service", "/api/v1/products", 200, "products", _json(lambda body: len(body) == 6)),
    Step(
        "One product: the name is captured from the path",
        "/api/v1/products/teapot",
        200,
        "product",
        _json(lambda body: body["price"] == 24.0),
    ),
    Step(
        "A path here becomes a query parameter there",
        "/api/v1/categories/deck",
        200,
        "category",
        _json(lambda body: [product["id"] for product in body] == ["chronometer", "tide-table"]),
    ),
    Step(
        "The same path with a header goes elsewhere",
        "/api/v1/products",
        200,
        "preview",
        _json(lambda body: body["version"] == 2 and body["under"] == "/api/v1"),
        headers={"x-preview": "2"},
    ),
    Step("A user", "/api/v1/users/ada", 200, "users", _json(lambda body: body["name"] == "Ada Lovelace")),
    Step(
        "The orders of that user; the query passes through",
        "/api/v1/orders?user=ada",
        200,
        "orders",
        _json(lambda body: [order["id"] for order in body] == ["1001", "1003"]),
    ),
    Step(
        "A more precise path wins over the prefix: the shipping service answers",
        "/api/v1/orders/1001/shipment",
        200,
        "shipment",
        _json(lambda body: body["position"] == "Rotterdam"),
    ),
    Step(
        "Server-sent events pass as they come",
        "/api/v1/orders/1003/tracking",
        200,
        "tracking",
        lambda body: body.count("data: ") == 4,
    ),
    Step(
        "Python inside the gateway works out a price",
        "/api/v1/quote",
        200,
        "quote",
        _json(lambda body: body == {"goods": "20.40", "delivery": "4.90", "total": "25.30"}),
        method="POST",
        headers=JSON,
        body='{"items": [{"price": 6.8, "quantity": 3}]}',
    ),
    Step(
        "An order is placed",
        "/api/v1/orders",
        201,
        "orders",
        _json(lambda body: body["id"] == "1004" and body["total"] == 48.0),
        method="POST",
        headers=JSON,
        body='{"userId": "edsger", "items": [{"productId": "teapot", "quantity": 2}]}',
    ),
    Step("... and is there", "/api/v1/orders/1004", 200, "orders", _json(lambda body: body["userId"] == "edsger")),
    Step("An old address sends people on", "/catalogue", 308, "old-catalogue", lambda _: True),
    Step(
        "What no route allows is refused, with what would be allowed",
        "/api/v1/orders/1001",
        405,
        "",
        _code("method_not_allowed"),
        method="DELETE",
    ),
    Step("What no route knows is not found", "/api/v2/orders", 404, "", _code("no_route")),
    Step("What is not a valid path goes no further", "/api/v1/orders/%00", 400, "", _code("bad_path")),
]
