"""Services that misbehave by chance, and a plain model of the page that says how many attempts they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tidegate import Gateway, Route, Service

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import Turns
from tests.harness import FakeUpstream, Script, serving

SCRIPTS: dict[str, tuple[Script, str | int | None, int]] = {
    "closes": (mis.close_after_request, "reset", 502),
    "resets": (mis.reset_before_answer, "reset", 502),
    "half a head": (mis.half_head, "reset", 502),
    "no http": (mis.no_http, None, 502),
    "wrong framing": (mis.wrong_framing, None, 502),
    "503": (mis.unavailable, 503, 503),
    "500": (mis.failing, 500, 500),
    "fine": (mis.fine, None, 200),
}
"""What it does, the condition that it meets, and what the client sees when it is the last."""

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


@dataclass
class Expected:
    attempts: int
    status: int


def model(turns: list[str], method: str, on: list[str | int], attempts: int, methods: list[str] | None) -> Expected:
    """The page, in a few lines."""
    may = method in (IDEMPOTENT if methods is None else methods)
    for number, turn in enumerate([*turns, "fine"], 1):
        _, condition, status = SCRIPTS[turn]
        if condition not in on or not may or number > attempts:
            return Expected(number, status)
    raise AssertionError("the last turn is fine")


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(st.sampled_from([name for name in SCRIPTS if name != "fine"]), max_size=5),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    on=st.lists(st.sampled_from(["reset", "connect_failure", 500, 503]), unique=True),
    attempts=st.integers(0, 4),
    methods=st.none() | st.lists(st.sampled_from(["GET", "POST"]), unique=True),
    body=st.sampled_from([None, b"short", bytes(40_000)]),
)
def test_the_service_sees_what_the_page_says(
    turns: list[str],
    method: str,
    on: list[str | int],
    attempts: int,
    methods: list[str] | None,
    body: bytes | None,
) -> None:
    expected = model(turns, method, on, attempts, methods)
    played = Turns(*(SCRIPTS[turn][0] for turn in [*turns, "fine"]))
    upstream = FakeUpstream().script(played)
    retries: dict[str, Any] = {"attempts": attempts, "on": on, "backoff": "off", "budget": "off"}
    if methods is not None:
        retries["methods"] = methods
    service = Service.model_validate({"name": "s", "url": upstream.url, "retries": retries})
    try:
        with serving(Gateway(services=[service], routes=[Route(name="r", paths=["/"], service="s")])) as gateway:
            answer = gateway.request(method, "/x", body=body)
            assert (played.played, answer.status) == (expected.attempts, expected.status)
            assert {request.body for request in upstream.requests} == {body or b""}
    finally:
        upstream.stop()
