"""What is taken for a request over HTTP/2, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tidegate import Gateway, Respond, Route

from tests.harness import RunningGateway, serving
from tests.http2.raw import Pseudo, Raw

PROTOCOL_ERROR = 1


@pytest.fixture(scope="module")
def served() -> Iterator[RunningGateway]:
    with serving(
        Gateway(routes=[Route(name="hello", paths=["/"], respond=Respond(body="{request.path} {request.host}"))])
    ) as served:
        yield served


def ask(
    served: RunningGateway, *more: tuple[str, str], end: bool = True, pseudo: Pseudo
) -> tuple[int, str] | int | None:
    """Status and code (or body) of the answer, or the error code of the reset; `None` when the connection ended."""
    with Raw(served.address()) as raw:
        raw.send(raw.head(1, *more, end=end, pseudo=pseudo))
        answer = raw.answer(1)
    if not isinstance(answer, tuple):
        return answer
    fields, body = answer
    text = json.loads(body)["code"] if fields.get("content-type") == "application/problem+json" else body.decode()
    return int(fields[":status"]), text


@pytest.mark.parametrize(
    ("more", "pseudo", "text"),
    [
        ([], {}, "/ gateway.test"),
        ([], {"path": "//a/./b/../%63"}, "/a/c gateway.test"),
        ([], {"authority": "GateWay.test.:8080"}, "/ gateway.test"),
        ([("host", "other.test")], {"authority": None}, "/ other.test"),
        ([("host", "GATEWAY.test")], {}, "/ gateway.test"),
        ([("te", "trailers")], {}, "/ gateway.test"),
        ([], {"scheme": "https"}, "/ gateway.test"),
    ],
)
def test_a_request_is_answered(served: RunningGateway, more: list[tuple[str, str]], pseudo: Pseudo, text: str) -> None:
    assert ask(served, *more, pseudo=pseudo) == (200, text)


@pytest.mark.parametrize(
    ("more", "pseudo", "answer"),
    [
        ([], {"path": "*"}, (400, "bad_path")),
        ([], {"path": "/a\\b"}, (400, "bad_path")),
        ([], {"path": "/../a"}, (400, "bad_path")),
        ([], {"path": "/%zz"}, (400, "bad_path")),
        ([], {"path": "/%00"}, (400, "bad_path")),
        ([], {"path": "/" + "a" * 9000}, (414, "target_too_long")),
        ([], {"scheme": "ftp"}, (400, "malformed_request")),
        ([], {"authority": None}, (400, "bad_host")),
        ([], {"authority": "user@gateway.test"}, (400, "bad_host")),
        ([("host", "other.test")], {}, (400, "bad_host")),
        ([("host", "a.test"), ("host", "a.test")], {"authority": None}, (400, "bad_host")),
        ([("x-padded", " a")], {}, (400, "malformed_request")),
        ([("content-length", "0"), ("content-length", "0")], {}, (400, "bad_framing")),
        ([("expect", "something")], {}, (417, "expectation_failed")),
        ([], {"method": "CONNECT", "path": None, "scheme": None}, (405, "connect_refused")),
        ([(f"x-{index}", "a") for index in range(101)], {}, (431, "too_many_fields")),
        (
            [(f"x-{index}", "a" * 120) for index in range(99)],
            {"path": "/" + "a" * 3000},
            (200, "/" + "a" * 3000 + " gateway.test"),
        ),
    ],
)
def test_a_refusal_says_why(
    served: RunningGateway, more: list[tuple[str, str]], pseudo: Pseudo, answer: tuple[int, str]
) -> None:
    assert ask(served, *more, pseudo=pseudo) == answer


@pytest.mark.parametrize(
    ("more", "pseudo"),
    [
        ([], {"path": "/a b"}),
        ([], {"path": "relative"}),
        ([], {"path": ""}),
        ([], {"method": None}),
        ([], {"scheme": None}),
        ([("connection", "close")], {}),
        ([("transfer-encoding", "chunked")], {}),
        ([("upgrade", "h2c")], {}),
        ([("te", "gzip")], {}),
        ([("content-length", "5")], {}),
        ([("content-length", "+1")], {}),
        ([(":path", "/again")], {}),
        ([(":status", "200")], {}),
        ([("x", "y"), (":path", "/late")], {"path": None}),
    ],
)
def test_what_is_no_request_is_reset(served: RunningGateway, more: list[tuple[str, str]], pseudo: Pseudo) -> None:
    assert ask(served, *more, pseudo=pseudo) == PROTOCOL_ERROR


@pytest.mark.parametrize("field", [("x-split", "a\r\nb: c"), ("x-nul", "a\0"), ("X-Upper", "a"), ("x space", "a")])
def test_a_field_that_cannot_be_one_never_becomes_a_request(served: RunningGateway, field: tuple[str, str]) -> None:
    assert ask(served, field, pseudo={}) in (None, PROTOCOL_ERROR)


def test_a_body_that_is_not_as_long_as_it_says_is_refused(served: RunningGateway) -> None:
    with Raw(served.address()) as raw:
        raw.send(
            raw.head(1, ("content-length", "5"), end=False, pseudo={"method": "POST"}), raw.data(1, b"123456", end=True)
        )
        assert raw.answer(1) == PROTOCOL_ERROR
