"""The tour as people see it."""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from tidegate.demo.shop import RunningShop, running_shop
from tidegate.demo.tour import STEPS, Step

WIDTH = 110


def run(*, once: bool = False) -> int:
    """Runs the demo; with `once` it ends after the tour, with 1 unless every answer was right."""
    with running_shop(any_port=once) as shop:
        _introduce(shop)
        wrong = sum(not _take(step, shop.url) for step in STEPS)
        if wrong:
            print(f"{wrong} of {len(STEPS)} answers were not right", file=sys.stderr)
        else:
            print(f"All {len(STEPS)} answers were right.")
        if once:
            return 1 if wrong else 0
        _stay(shop)
    return 0


def _introduce(shop: RunningShop) -> None:
    print("A shop of four services, and a gateway in front of them:\n")
    for name, url in shop.services.items():
        print(f"  {name:17} {url}")
    print(f"  {'gateway':17} {shop.url}    (examples/shop/gateway.yaml)")
    print(f"  {'admin':17} {shop.admin_url}\n", flush=True)


def _take(step: Step, url: str) -> bool:
    print(f"# {step.says}\n$ {step.curl(url)}")
    started = time.perf_counter()
    status, headers, body = _ask(step, url)
    took = (time.perf_counter() - started) * 1000
    route = headers.get("x-route", "")
    right = status == step.status and route == step.route and step.right(body)
    matched = f"route {route}" if route else "no route"
    print(f"  {status}  {matched}  {took:.1f} ms" + ("" if right else "  <-- not as expected"))
    for line in _shown(body or f"location: {headers.get('location', '')}"):
        print(f"  {line}")
    print(flush=True)
    return right


def _ask(step: Step, url: str) -> tuple[int, dict[str, str], str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.request(step.method, step.path, step.body, step.headers)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read().decode()
    finally:
        connection.close()


def _shown(body: str) -> list[str]:
    """The body on a few short lines."""
    lines = [line for line in body.splitlines() if line]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in lines[:8]]


def _stay(shop: RunningShop) -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"\nEverything stays up until Ctrl-C. The shop is at {shop.url}, its metrics at {shop.admin_url}/metrics")
    print(f"  tidegate routes {_short(shop)}      tidegate explain {_short(shop)} GET /api/v1/orders/1001", flush=True)
    stopped.wait()
    print("\nstopped")


def _short(shop: RunningShop) -> str:
    return "/".join(shop.document.parts[-3:])
