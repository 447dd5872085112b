"""Clients that want to be taken for someone else, or to read what the gateway says on their behalf."""

from __future__ import annotations

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.hostile.conftest import Stage, Witness

POLICIES = {"request_headers": {"set": {"x-user-id": "{request.method}", "x-org": "ours"}, "remove": ["x-role"]}}


@pytest.fixture
def identified(proxy: Proxy, upstream: StartUpstream) -> Stage:
    """Tells the service who asks in `x-user-id`."""
    witness = Witness(upstream())
    return Stage(proxy(witness.upstream, policies=POLICIES), witness)


# CGI and WSGI servers make one name of all of these (lighttpd of every mark there is), and the client's came first.
@pytest.mark.parametrize(
    "name",
    [
        "x-user-id",
        "X_User_Id",
        "x_user-id",
        "X-USER.ID",
        "x!user~id",
        "X|User'Id",
        "x-role",
        "X_Role",
        "x-org",
        "x.org",
    ],
)
def test_a_header_that_the_gateway_sets_has_no_other_spelling(identified: Stage, name: str) -> None:
    message = f"GET /x HTTP/1.1\r\nHost: a\r\n{name}: root\r\nx_other: stays\r\n\r\n"
    with identified.send(message.encode()) as client:
        client.read_answer()
    assert b"root" not in identified.witness.raw
    assert b"x_other: stays" in identified.witness.raw
    assert b"x-user-id: GET" in identified.witness.raw


# A service that answers TRACE sends the credentials back that the gateway gave it.
def test_trace_goes_nowhere_unless_a_route_names_it(stage: Stage) -> None:
    with stage.send(b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n") as client:
        assert client.read_answer()[0] == 405
    assert b"TRACE" not in stage.witness.raw
    stage.assert_in_step()


def test_a_route_may_name_trace(proxy: Proxy, upstream: StartUpstream) -> None:
    witness = Witness(upstream())
    stage = Stage(proxy(witness.upstream, route={"methods": ["TRACE"]}), witness)
    with stage.send(b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n") as client:
        assert client.read_answer()[0] == 200
