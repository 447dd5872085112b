"""`basic`: callers are known by name and password."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any

import pytest
from tidegate._native import hash_password

from tests.echo import Answer, EchoGateway, Start, ask


@pytest.fixture(scope="module")
def consumers() -> list[dict[str, Any]]:
    """One with two users."""
    ann = {"username": "ann", "password_hash": hash_password("secret")}
    bob = {"username": "bob", "password_hash": hash_password("pä:ss")}
    return [{"name": "acme", "tier": "business", "basic": [ann, bob]}]


def basic(gateway: EchoGateway, name: str, password: str) -> Answer:
    return with_value(gateway, "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())


def with_value(gateway: EchoGateway, *values: str) -> Answer:
    return ask(gateway, headers=[("Authorization", value) for value in values])


def test_a_right_password_is_let_in_and_does_not_go_on(start: Start, consumers: Any) -> None:
    gateway = start({"basic": {}, "request_headers": {"set": {"x-user": "{identity.subject}"}}}, consumers=consumers)
    for name, password in (("ann", "secret"), ("bob", "pä:ss"), ("ann", "secret")):
        echo = basic(gateway, name, password).echo
        assert (echo.one("x-consumer-name"), echo.one("x-user")) == ("acme", name)
        assert "authorization" not in echo.names()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "Secret"),
        ("ann", ""),
        ("ann", "secret "),
        ("bob", "secret"),
        ("nobody", "secret"),
        ("nobody", ""),
        ("Ann", "secret"),
    ],
)
def test_a_wrong_one_is_refused_the_first_time_and_every_other(
    start: Start, consumers: Any, name: str, password: str
) -> None:
    gateway = start({"basic": {"realm": "shop"}}, consumers=consumers)
    answers = [basic(gateway, name, password) for _ in range(3)]
    for answer in answers:
        assert (answer.status, answer.json()["code"]) == (401, "invalid_credentials")
        assert answer.one("www-authenticate") == 'Basic realm="shop", charset="UTF-8"'


def test_a_caller_without_one_is_asked(start: Start, consumers: Any) -> None:
    gateway = start({"basic": {}}, consumers=consumers)
    for values in ([], ["Bearer abc"], ["Basic"]):
        answer = with_value(gateway, *values)
        assert (answer.status, answer.json()["code"]) == (401, "missing_credentials")
        assert answer.one("www-authenticate").startswith("Basic realm=")


@pytest.mark.parametrize(
    "value", ["Basic YW5u", "Basic !!!!", "Basic YW5uOnNlY3JldA", "Basic YW5uOnNlY3Jl dA==", "Basic OnNlY3JldA=="]
)
def test_what_is_no_name_and_password_is_refused(start: Start, consumers: Any, value: str) -> None:
    answer = with_value(start({"basic": {}}, consumers=consumers), value)
    assert (answer.status, answer.json()["code"]) == (401, "invalid_credentials")


def test_two_are_none(start: Start, consumers: Any) -> None:
    right = "Basic " + base64.b64encode(b"ann:secret").decode()
    assert with_value(start({"basic": {}}, consumers=consumers), right, right).status == 401


def test_a_changed_hash_acts_at_once(start: Start, consumers: Any) -> None:
    gateway = start({"basic": {"remember": "1h"}}, consumers=consumers)
    assert basic(gateway, "ann", "secret").status == 200
    changed = [{"name": "acme", "basic": {"username": "ann", "password_hash": hash_password("other")}}]
    gateway.reload({"basic": {"remember": "1h"}}, consumers=changed)
    assert basic(gateway, "ann", "secret").status == 401
    assert basic(gateway, "ann", "other").status == 200


def test_an_unknown_user_takes_as_long_as_a_known_one(start: Start, consumers: Any) -> None:
    """Not by the clock, which a busy machine makes a fool of: both are checked, and both are remembered as wrong."""
    gateway = start({"basic": {"remember_failures": "1ms"}}, consumers=consumers)

    def least(name: str) -> float:
        times = []
        for number in range(5):
            began = time.perf_counter()
            assert basic(gateway, name, f"wrong-{number}").status == 401
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = least("ann"), least("nobody")
    assert 0.4 < unknown / known < 2.5


def test_a_flood_is_told_to_come_again_and_known_callers_go_on(start: Start) -> None:
    """More passwords than can be checked: the queue is short, and whoever was checked lately does not stand in it."""
    user = {"username": "a", "password_hash": hash_password("secret")}
    gateway = start({"basic": {"remember": "1h"}}, consumers=[{"name": "a", "basic": user}])
    assert basic(gateway, "a", "secret").status == 200
    statuses: list[int] = []

    def flood(number: int) -> None:
        statuses.append(basic(gateway, f"user-{number}", "guess").status)

    threads = [threading.Thread(target=flood, args=[part]) for part in range(110)]
    for thread in threads:
        thread.start()
    mine = [basic(gateway, "a", "secret").status for _ in range(5)]
    for thread in threads:
        thread.join()
    assert mine == [200] * 5
    assert set(statuses) == {401, 503}
