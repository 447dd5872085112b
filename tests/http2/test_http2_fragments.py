"""A `#` in `:path`: cut off below the gateway, with all that follows, so nothing of it reaches anybody.

`docs/decisions/0007-a-fragment-over-http2-is-cut-off.md` says why it is not refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.http2.raw import Raw
from tests.http2.service import Asked, service

Seen = Callable[[], list[tuple[str, dict[str, str]]]]
"""Target and fields of every request that the service got."""


@pytest.fixture(params=["http1", "h2"])
def behind(request: pytest.FixtureRequest, upstream: StartUpstream) -> Iterator[tuple[dict[str, object], Seen]]:
    """A service of either protocol: its settings, and what it saw."""
    if request.param == "http1":
        plain = upstream()
        yield {"url": plain.url}, lambda: [(one.target, dict(one.fields)) for one in plain.requests]
        return
    seen: list[tuple[str, dict[str, str]]] = []

    def play(asked: Asked) -> None:
        seen.append((asked.fields[":path"], asked.fields))
        asked.answer(200, b"ok")

    with service(play) as running:
        yield {"url": f"http://127.0.0.1:{running.port}", "protocol": "h2"}, lambda: seen


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/open#/../hidden", "/open"),
        ("/open#hidden", "/open"),
        ("/open/a?b=c#hidden", "/open/a?b=c"),
        ("/open?b=c#&hidden=1", "/open?b=c"),
        ("/open#?hidden=1", "/open"),
        ("/open##hidden", "/open"),
    ],
)
def test_what_stands_behind_it_reaches_neither_match_nor_policies_nor_service_nor_log(
    gateway: StartGateway, behind: tuple[dict[str, object], Seen], tmp_path: Path, path: str, sent: str
) -> None:
    settings, seen = behind
    log = tmp_path / "access.log"
    told = {"x-path": "{request.path}", "x-query": "{request.query}", "x-hidden": "{query.hidden}"}
    running = gateway(
        {
            "access_log": {"file": str(log)},
            "services": [{"name": "behind", **settings}],
            "routes": [
                {"name": "secret", "paths": ["/hidden"], "service": "behind"},
                {"name": "asked", "paths": ["/"], "query": {"hidden": True}, "service": "behind"},
                {
                    "name": "open",
                    "paths": ["/open"],
                    "service": "behind",
                    "strip_path": False,
                    "policies": {"request_headers": {"set": told}},
                },
            ],
        }
    )
    with Raw(running.address()) as raw:
        raw.send(raw.head(1, pseudo={"path": path}))
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    assert answer[0][":status"] == "200"
    running.stop()
    ((target, fields),) = seen()
    assert target == sent
    assert "hidden" not in json.dumps(list(fields.values()))
    line = json.loads(log.read_text())
    assert (line["route"], line["path"]) == ("open", sent.partition("?")[0])
    assert "hidden" not in log.read_text()
