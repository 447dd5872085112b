"""`trace_context`: the gateway's part of a trace, after W3C Trace Context."""

from __future__ import annotations

import re

import pytest

from tests.echo import Start, ask

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_a_trace_goes_on_under_a_span_of_ours(start: Start, flags: str) -> None:
    sent = [("traceparent", f"00-{TRACE}-{PARENT}-{flags}"), ("tracestate", "a=1"), ("tracestate", "b=2")]
    got = ask(start({"trace_context": {}}), headers=sent).echo
    _, trace, span, sent_on = got.one("traceparent").split("-")
    assert (trace, sent_on) == (TRACE, flags)
    assert span != PARENT
    assert got.all("tracestate") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "sent",
    [
        [],
        ["nonsense"],
        [f"00-{TRACE.upper()}-{PARENT}-01"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"ff-{TRACE}-{PARENT}-01"],
        [f"00-{TRACE}-{PARENT}-01-more"],
        [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"],
    ],
)
def test_without_a_valid_parent_a_trace_begins(start: Start, sent: list[str]) -> None:
    headers = [*(("traceparent", value) for value in sent), ("tracestate", "a=1")]
    got = ask(start({"trace_context": {}}), headers=headers).echo
    assert VALID.fullmatch(got.one("traceparent"))
    assert TRACE not in got.one("traceparent")
    assert got.one("traceparent").endswith("-01")
    assert got.all("tracestate") == []


def test_a_later_version_goes_on_as_the_one_we_know(start: Start) -> None:
    sent = [("traceparent", f"cc-{TRACE}-{PARENT}-ff-what-the-future-holds"), ("tracestate", "a=1")]
    got = ask(start({"trace_context": {}}), headers=sent).echo
    assert got.one("traceparent").startswith(f"00-{TRACE}-")
    assert got.one("traceparent").endswith("-01")
    assert got.all("tracestate") == ["a=1"]


def test_switched_off_it_touches_nothing(start: Start) -> None:
    got = ask(start({"trace_context": "off"}), headers=[("traceparent", "nonsense")]).echo
    assert got.all("traceparent") == ["nonsense"]
