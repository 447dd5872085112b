"""The four services of the example in one program: `python services.py PORT`."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATA: dict[str, dict[str, Any]] = {
    "orders": {
        "1001": {
            "id": 1001,
            "internalId": 9007199254740993,
            "userId": "u1",
            "productIds": ["p1", "p2"],
            "status": "sent",
            "total": 53.5,
        },
        "1002": {"id": 1002, "internalId": 4, "userId": "u2", "productIds": [], "status": "new", "total": 0},
    },
    "users": {
        "u1": {"id": "u1", "name": "Ann", "email": "ann@example.com", "passwordHash": "never shown"},
        "u2": {"id": "u2", "name": "Bo", "email": "bo@example.com"},
    },
    "products": {"p1": {"id": "p1", "name": "Lamp", "price": 49}, "p2": {"id": "p2", "name": "Bulb", "price": 4.5}},
    "shipments": {"1001": {"carrier": "Gull Post", "state": "on its way"}, "1002": None},
}


class Service(BaseHTTPRequestHandler):
    """Answers with what `DATA` has; the shipment of order 1002 takes too long."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Any of the services."""
        kind, _, name = self.path.strip("/").partition("/")
        known = DATA.get(kind, {})
        if (kind, name) == ("shipments", "1002"):
            time.sleep(1)
        body = json.dumps(known.get(name, {"error": f"no {name} in {kind}"})).encode()
        self.send_response(200 if name in known else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the gateway has a log."""


class Server(ThreadingHTTPServer):
    """Does not wait for requests that hang when it ends, nor complain of clients that left."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A gateway that no longer waits has closed the connection."""


def serve(port: int) -> Server:
    """The services, ready to serve."""
    return Server(("127.0.0.1", port), Service)


if __name__ == "__main__":
    serve(int(sys.argv[1])).serve_forever()
