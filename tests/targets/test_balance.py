"""Algorithms through the front door."""

from __future__ import annotations

import re
import threading

from tests.conftest import StartGateway
from tests.harness import RunningGateway
from tests.targets.conftest import StartTargets, Target, document, reached

SECRET = "0123456789abcdef0123456789abcdef"


def pool(targets: list[Target], balance: object, **options: object) -> dict[str, object]:
    return {"balance": balance, "targets": [{"address": target.address} for target in targets], **options}


def test_the_same_key_goes_to_the_same_target_on_every_gateway(gateway: StartGateway, targets: StartTargets) -> None:
    four = targets(4)
    balance = {"algorithm": "consistent_hash", "key": "{header.x-tenant}"}
    running = gateway(document(pool(four, balance)), workers=2)
    another = gateway(document(pool(four, balance)))
    chosen: set[str] = set()
    for tenant in range(12):
        options = {"headers": {"x-tenant": f"tenant-{tenant}"}}
        here, there = reached(running, 3, **options), reached(another, 1, **options)
        assert len(here) == 1
        assert here.keys() == there.keys()
        chosen |= here.keys()
    assert len(chosen) > 1
    assert len(reached(running, 40)) == 4, "requests without a key are spread"


def cookie_of(running: RunningGateway, **options: object) -> tuple[str, str | None]:
    answer = running.get("/", **options)
    return answer.text, answer.headers.get("set-cookie")


def test_a_client_with_the_cookie_stays_at_its_target(gateway: StartGateway, targets: StartTargets) -> None:
    three = targets(3)
    balance = {"algorithm": "sticky_cookie", "otherwise": "round_robin", "cookie": {"name": "at", "secret": SECRET}}
    running = gateway(document(pool(three, balance)))
    first, cookie = cookie_of(running)
    assert cookie is not None
    assert re.fullmatch(r"at=[A-Za-z0-9_-]{22}; Path=/; HttpOnly; SameSite=Lax", cookie)
    assert "127.0.0" not in cookie
    value = cookie.partition(";")[0]
    for _ in range(6):
        assert cookie_of(running, headers={"cookie": f"a=b; {value}"}) == (first, None)
    # Another gateway with the same secret takes it too.
    another = gateway(document(pool(three, balance)))
    assert cookie_of(another, headers={"cookie": value}) == (first, None)


def test_a_cookie_that_is_made_up_is_replaced(gateway: StartGateway, targets: StartTargets) -> None:
    running = gateway(document(pool(targets(2), "sticky_cookie")))
    for made_up in ("x", "127.0.0.2", "A" * 22, "A" * 23, ""):
        text, cookie = cookie_of(running, headers={"cookie": f"tidegate-target={made_up}"})
        assert cookie is not None
        assert cookie_of(running, headers={"cookie": cookie.partition(";")[0]}) == (text, None)


def test_when_the_target_is_gone_the_client_gets_another_with_a_new_cookie(
    gateway: StartGateway, targets: StartTargets
) -> None:
    one, other = targets(2)
    running = gateway(document(pool([one], "sticky_cookie")))
    _, cookie = cookie_of(running)
    assert cookie is not None
    value = {"cookie": cookie.partition(";")[0]}
    running.server.set_targets("s", [{"address": other.address, "weight": 1, "priority": 0, "resolve": "one"}])
    text, renewed = cookie_of(running, headers=value)
    assert text == other.address
    assert renewed not in (None, cookie)


def test_a_target_of_weight_0_keeps_the_clients_it_has(gateway: StartGateway, targets: StartTargets) -> None:
    two = targets(2)
    running = gateway(document(pool(two, "sticky_cookie")))
    cookies: dict[str, dict[str, str]] = {}
    while len(cookies) < 2:
        text, cookie = cookie_of(running)
        assert cookie is not None
        cookies[text] = {"cookie": cookie.partition(";")[0]}
    emptied = [{"address": it.address, "weight": i, "priority": 0, "resolve": "one"} for i, it in enumerate(two)]
    running.server.set_targets("s", emptied)
    assert cookie_of(running, headers=cookies[two[0].address]) == (two[0].address, None)
    assert reached(running, 5) == {two[1].address: 5}


def test_a_retry_goes_to_another_target(gateway: StartGateway, targets: StartTargets) -> None:
    living, *_ = targets(1)
    dead = [f"127.0.0.{90 + index}:{living.port}" for index in range(3)]
    upstream = {"targets": [{"address": address} for address in [*dead, living.address]]}
    running = gateway(document(upstream, retries=3))
    assert reached(running, 2) == {living.address: 2}


def test_the_next_priority_helps_when_a_target_does_not_connect(gateway: StartGateway, targets: StartTargets) -> None:
    (spare,) = targets(1)
    first = {"address": f"127.0.0.90:{spare.port}"}
    upstream = {"targets": [first, {"address": spare.address, "priority": 1}]}
    running = gateway(document(upstream, retries=1))
    assert reached(running, 2) == {spare.address: 2}


def test_targets_are_counted(gateway: StartGateway, targets: StartTargets) -> None:
    good, bad = targets(2)
    bad.status = 500
    running = gateway(document(pool([good, bad], "round_robin")))
    reached(running, 6)
    good.started.clear()
    slow = threading.Thread(target=lambda: running.get("/slow"))
    slow.start()
    assert good.started.wait(20)
    metrics = running.metrics()
    assert f'tidegate_target_requests_total{{service="s",target="{good.address}",outcome="answered"}} 3' in metrics
    assert f'tidegate_target_requests_total{{service="s",target="{bad.address}",outcome="error"}} 3' in metrics
    assert f'tidegate_target_in_flight{{service="s",target="{good.address}"}} 1' in metrics
    good.go_on.set()
    slow.join(20)
