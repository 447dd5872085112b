"""One service, and routes over it that the tests of compositions write for themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import tidegate.testing
from tidegate.testing import Answer, RunningGateway
from tidegate.testing.message import Recorded
from tidegate.testing.service import FakeService

WAIT = 10.0
"""Seconds in which everything that a test waits for has happened."""


class Scene:
    """A gateway whose routes call one service, `s`."""

    def __init__(self, text: str | None = None, **routes: Any) -> None:
        self.gateway: RunningGateway = tidegate.testing.start(text or document(**routes))
        self._asking = ThreadPoolExecutor(8)

    @property
    def service(self) -> FakeService:
        return self.gateway.services["s"]

    def ask(self, path: str = "/", **options: Any) -> Future[Answer]:
        """Asks while the test goes on."""
        return self._asking.submit(self.gateway.get, path, **options)

    def paths(self) -> list[str]:
        """What the service was asked for, in order."""
        return [request.target for request in self.service.requests]

    def answers(self, values: Mapping[str, Any]) -> None:
        """What the service has at which path."""
        for path, value in values.items():
            self.service.get(path).returns(json=value)

    def series(self, name: str, **labels: str) -> float:
        """A number of the metrics; 0 where there is none."""
        for line in self.gateway.metrics().splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{key}="{text}"' in series for key, text in labels.items()):
                return float(value)
        return 0.0

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.stop()
        self._asking.shutdown()


def document(**routes: Any) -> str:
    """`main` is at `/`, any other route at `/NAME`."""
    listed = [
        {"name": name, "paths": ["=/" if name == "main" else f"/{name}"], "compose": compose}
        for name, compose in routes.items()
    ]
    return json.dumps({"services": [{"name": "s", "url": "http://s.internal"}], "routes": listed}, indent=1)


def call(path: str, **options: Any) -> dict[str, Any]:
    return {"service": "s", "path": path, **options}


class Gate:
    """An answer that waits until the test lets it go."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self, _: Recorded) -> Any:
        assert self._open.wait(WAIT), "nobody opened the gate"
        return self._value


def meeting(count: int, value: Any) -> Callable[[Recorded], Any]:
    """Answers when so many requests are under way at once, and fails when they never are."""
    barrier = threading.Barrier(count)

    def answer(_: Recorded) -> Any:
        barrier.wait(WAIT)
        return value

    return answer
