"""The five services of the example in one program: `python services.py PORT`."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ORDER = {
    "id": 1001,
    "number": "A-1001",
    "status": "sent",
    "placedAt": "2026-11-24T10:00:00Z",
    "currency": "EUR",
    "net": 45,
    "tax": 8.5,
    "shipping": 0,
    "total": 53.5,
    "userId": "u1",
    "lines": [{"sku": "p1", "quantity": 1, "price": 49}, {"sku": "p2", "quantity": 1, "price": 4.5}],
}
ADDRESS = {"street": "Quay 1", "zip": "26382", "city": "Wilhelmshaven", "country": "DE"}
SHIPMENT = {"carrier": "Gull Post", "state": "on its way", "arrives": "2026-12-01", "track": "https://gull.example/t/1"}
DATA: dict[str, Any] = {
    "/orders/1001": ORDER,
    "/users/u1": {"id": "u1", "name": "Ann", "email": "ann@example.com", "address": ADDRESS},
    "/products/p1": {"name": "Lamp", "image": "/i/p1.png", "rating": 4.5},
    "/products/p2": {"name": "Bulb", "image": "/i/p2.png", "rating": 4.1},
    "/payments/1001": {"method": "card", "state": "paid", "card": {"last4": "4242"}},
    "/shipments/1001": SHIPMENT,
}


class Service(BaseHTTPRequestHandler):
    """Answers with what `DATA` has."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Any of the services."""
        known = DATA.get(self.path)
        body = json.dumps({"error": f"there is no {self.path}"} if known is None else known).encode()
        self.send_response(404 if known is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the gateway has a log."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
