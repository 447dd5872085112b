"""The same rules where the client, the service or both speak HTTP/2."""

from __future__ import annotations

import pytest

from tests.calls import misbehaving as mis
from tests.calls.misbehaving import first_then
from tests.conftest import Proxy, StartUpstream
from tests.harness import Script
from tests.harness.upstream import hang_before_head
from tests.http2.raw import Raw
from tests.http2.service import Asked
from tests.http2.test_http2_services import ask, gateway_to

FRAME = 16_000


def put(client: Raw, stream: int, body: bytes) -> tuple[int, bytes]:
    client.send(client.head(stream, pseudo={"method": "PUT"}, end=not body))
    for start in range(0, len(body), FRAME):
        client.send(client.data(stream, body[start : start + FRAME], end=start + FRAME >= len(body)))
    answer = client.answer(stream)
    assert isinstance(answer, tuple), answer
    fields, answered = answer
    return int(fields[":status"]), answered


@pytest.mark.parametrize(("size", "attempts"), [(0, 2), (1, 2), (30_000, 2), (64_000, 2)])
@pytest.mark.parametrize("bad", [mis.reset_before_answer, mis.unavailable], ids=lambda bad: bad.__name__)
def test_a_body_of_an_http2_client_is_sent_again(
    proxy: Proxy, upstream: StartUpstream, size: int, attempts: int, bad: Script
) -> None:
    body = bytes(range(250)) * (size // 250) + bytes(size % 250)
    service, _ = first_then(upstream, bad, mis.fine)
    gateway = proxy(service, retries={"attempts": 1, "backoff": "off", "on": ["reset", 503]})
    with Raw(gateway.address()) as client:
        assert put(client, 1, body) == (200, b"ok")
    assert [request.body for request in service.requests] == [body] * attempts


@pytest.mark.parametrize("size", [0, 1, 30_000, 64_000])
def test_a_body_of_an_http2_client_is_hedged(proxy: Proxy, upstream: StartUpstream, size: int) -> None:
    body = bytes(range(250)) * (size // 250) + bytes(size % 250)
    service, _ = first_then(upstream, hang_before_head, mis.fine)
    gateway = proxy(service, hedging={"after": "20ms", "budget": 1, "methods": ["PUT"]})
    with Raw(gateway.address()) as client:
        assert put(client, 1, body) == (200, b"ok")
    assert [request.body for request in service.requests] == [body] * 2
    service.wait_for_closed(2)


def test_a_service_is_told_over_http2_what_is_left() -> None:
    seen: list[dict[str, str]] = []

    def note(asked: Asked) -> None:
        seen.append(asked.fields)
        asked.answer(200, b"")

    with gateway_to(note, timeout="20s", deadline={"header": "x-left"}) as (served, _):
        ask(served, "POST", body=b"", **{"Content-Type": "application/grpc", "Grpc-Timeout": "1H", "X-Left": "7000000"})
    left = seen[0]["grpc-timeout"]
    assert left[-1] == "m"
    assert 15_000 < int(left[:-1]) <= 20_000
    assert 15_000 < int(seen[0]["x-left"]) <= 20_000
