"""`request_id`: every request has an id, by which the client, the service and the log can speak of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.echo import Start, ask
from tests.http2.raw import Raw

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def test_the_service_and_the_client_get_the_same_new_id(start: Start) -> None:
    answer = ask(start({"request_id": {}}))
    assert ULID.fullmatch(answer.one("x-request-id"))
    assert answer.echo.all("x-request-id") == answer.all("x-request-id")


def test_ids_differ_and_sort_by_time(start: Start) -> None:
    gateway = start({"request_id": {}})
    ids = [ask(gateway).one("x-request-id") for _ in range(20)]
    assert len(set(ids)) == 20
    assert [name[:10] for name in ids] == sorted(name[:10] for name in ids)


def test_a_client_does_not_choose_its_id(start: Start) -> None:
    sent = [("X-Request-Id", "mine"), ("X_Request_Id", "mine"), ("x.request.id", "mine")]
    got = ask(start({"request_id": {}}), headers=sent).echo
    assert "mine" not in got.values()


def test_a_trusted_proxy_does(start: Start) -> None:
    gateway = start({"request_id": {}}, trusted_proxies=["127.0.0.1"])
    answer = ask(gateway, headers=[("X-Request-Id", "edge-1.2_3")])
    assert answer.one("x-request-id") == "edge-1.2_3"
    assert answer.echo.all("x-request-id") == ["edge-1.2_3"]


@pytest.mark.parametrize("sent", [["a b"], ['a"b'], ["é"], ["a" * 129], [""], ["one", "two"]])
def test_an_id_that_is_not_sane_is_not_kept_even_from_a_trusted_proxy(start: Start, sent: list[str]) -> None:
    gateway = start({"request_id": {}}, trusted_proxies=["127.0.0.1"])
    answer = ask(gateway, headers=[("X-Request-Id", value) for value in sent])
    assert ULID.fullmatch(answer.one("x-request-id"))
    assert answer.echo.all("x-request-id") == answer.all("x-request-id")


def test_the_header_can_be_named_and_its_aliases_go_too(start: Start) -> None:
    gateway = start({"request_id": {"header": "x-correlation-id", "answer": False}})
    answer = ask(gateway, headers=[("X-Correlation-ID", "mine"), ("X_Correlation_ID", "mine")])
    assert ULID.fullmatch(answer.echo.one("x-correlation-id"))
    assert "mine" not in answer.echo.values()
    assert answer.all("x-correlation-id") == []


def test_the_id_of_a_service_does_not_replace_ours(start: Start) -> None:
    answer = ask(start({"request_id": {}}), target="/request-id")
    assert answer.all("x-request-id") == answer.echo.all("x-request-id")


# Of the last ones the head could be read, but they are refused before a route is looked for.
@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (404, {"target": "/nowhere-at-all"}),
        (400, {"target": "/a/%zz"}),
        (400, {"target": "/a/../../b"}),
        (400, {"headers": [("Host", "a"), ("Host", "a")]}),
        (400, {"headers": [("Content-Length", "1"), ("Transfer-Encoding", "chunked")]}),
        (405, {"method": "CONNECT", "target": "a:443", "headers": [("Host", "a:443")]}),
        (417, {"headers": [("Content-Length", "1"), ("Expect", "the moon")]}),
    ],
)
def test_a_refusal_carries_the_id_in_header_and_document(start: Start, status: int, sent: dict[str, Any]) -> None:
    answer = ask(start({"request_id": {}}), **sent)
    assert answer.status == status
    assert ULID.fullmatch(answer.one("x-request-id"))
    assert answer.json()["request_id"] == answer.one("x-request-id")


def test_a_refusal_carries_the_id_of_a_trusted_proxy(start: Start) -> None:
    gateway = start({"request_id": {}}, trusted_proxies=["127.0.0.1"])
    answer = ask(gateway, target="/%zz", headers=[("X-Request-Id", "edge-1")])
    assert (answer.one("x-request-id"), answer.json()["request_id"]) == ("edge-1", "edge-1")


@pytest.mark.parametrize("path", ["/%zz", "/../a"])
def test_a_refusal_over_http2_carries_the_id_too(start: Start, path: str) -> None:
    gateway = start({"request_id": {}}, trusted_proxies=["127.0.0.1"])
    with Raw(gateway.address()) as raw:
        raw.send(raw.head(1, ("x-request-id", "edge-1"), pseudo={"path": path}))
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    fields, body = answer
    assert (fields[":status"], fields["x-request-id"], json.loads(body)["request_id"]) == ("400", "edge-1", "edge-1")
