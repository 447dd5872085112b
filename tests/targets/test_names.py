"""Names: what they lead to, when they are looked up again, and what bad answers change (nothing)."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from tests.conftest import StartGateway
from tests.harness import RunningGateway
from tests.harness.dns import A, FakeDns, Misbehaviour, parsed
from tests.harness.poll import eventually
from tests.targets.conftest import StartTargets, Target, document, reached


def each(gateway: StartGateway, dns: FakeDns, port: int, **options: object) -> RunningGateway:
    target = {"address": f"orders.test:{port}", "resolve": "each"}
    return gateway(document({"targets": [target]}, dns, **options))


def addresses_of(targets: list[Target]) -> set[str]:
    return {target.address for target in targets}


def test_each_address_is_a_target_of_its_own(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    three = targets(3)
    dns.addresses("orders.test", *(target.host for target in three))
    running = each(gateway, dns, three[0].port)
    eventually(lambda: len(reached(running, 6)) == 3)
    assert reached(running, 30) == dict.fromkeys(addresses_of(three), 10)


def test_a_name_is_looked_up_again_when_its_time_is_over_and_connections_of_what_stays_live_on(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    first, second, third = targets(3)
    dns.addresses("orders.test", first.host, second.host, ttl=30)
    running = each(gateway, dns, first.port)
    eventually(lambda: len(reached(running, 4)) == 2)
    reached(running, 4)
    before = first.connections
    dns.addresses("orders.test", first.host, third.host, ttl=30)
    running.advance(20)
    assert reached(running, 4).keys() == addresses_of([first, second])
    running.advance(11)
    eventually(lambda: reached(running, 4).keys() == addresses_of([first, third]))
    assert first.connections == before


def test_a_request_that_comes_before_the_name_is_known_waits_for_it(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    (target,) = targets(1)
    dns.addresses("orders.test", target.host)
    running = each(gateway, dns, target.port)
    assert running.get("/").text == target.address


def test_a_name_that_does_not_exist_is_told_as_such(gateway: StartGateway, dns: FakeDns) -> None:
    running = each(gateway, dns, 80, retries=0)
    answer = running.get("/")
    assert (answer.status, answer.code) == (502, "upstream_unresolved")


def test_a_name_that_stops_to_resolve_keeps_its_addresses(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    two = targets(2)
    dns.addresses("orders.test", *(target.host for target in two), ttl=5)
    running = each(gateway, dns, two[0].port)
    eventually(lambda: len(reached(running, 4)) == 2)
    dns.forget("orders.test")
    asked = dns.count("orders.test")
    running.advance(6)
    eventually(lambda: dns.count("orders.test") > asked)
    assert reached(running, 8).keys() == addresses_of(two)
    # It is asked for again and again, ever more rarely, until it is back.
    dns.addresses("orders.test", two[1].host, ttl=5)
    running.advance(31)
    eventually(lambda: reached(running, 4).keys() == {two[1].address})


def _another_number(question: bytes, proper: bytes) -> list[bytes]:
    return [struct.pack("!H", (int.from_bytes(proper[:2]) + 1) % 65536) + proper[2:]]


def _another_name(question: bytes, proper: bytes) -> list[bytes]:
    return [proper.replace(b"\x06orders", b"\x06others")]


def _nothing_but_a_head(question: bytes, proper: bytes) -> list[bytes]:
    return [proper[:12]]


def _cut_off(question: bytes, proper: bytes) -> list[bytes]:
    return [proper[:-3]]


def _no_records(question: bytes, proper: bytes) -> list[bytes]:
    return [proper[:6] + b"\0\0" + proper[8 : len(question)]]


def _a_loop(question: bytes, proper: bytes) -> list[bytes]:
    at = len(question)
    return [question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + bytes([0xC0, at])]


def _servfail(question: bytes, proper: bytes) -> list[bytes]:
    return [proper[:3] + b"\x82" + proper[4:]]


def _garbage(question: bytes, proper: bytes) -> list[bytes]:
    return [b"\xff" * 300, b"", b"\0"]


BAD = [
    _another_number,
    _another_name,
    _nothing_but_a_head,
    _cut_off,
    _no_records,
    _a_loop,
    _servfail,
    _garbage,
]


@pytest.mark.parametrize("misbehave", BAD, ids=lambda function: function.__name__)
def test_a_bad_answer_changes_nothing(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets, misbehave: Misbehaviour
) -> None:
    two = targets(2)
    dns.addresses("orders.test", *(target.host for target in two), ttl=5)
    running = each(gateway, dns, two[0].port)
    eventually(lambda: len(reached(running, 4)) == 2)
    dns.addresses("orders.test", "127.0.0.99", ttl=5)
    dns.misbehave = misbehave
    asked = dns.count("orders.test")
    running.advance(6)
    eventually(lambda: dns.count("orders.test") > asked)
    assert reached(running, 6).keys() == addresses_of(two)


def test_the_right_answer_is_found_among_wrong_ones(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    (target,) = targets(1)
    dns.addresses("orders.test", target.host)
    dns.misbehave = lambda question, proper: [*_another_number(question, proper), *_garbage(question, proper), proper]
    running = each(gateway, dns, target.port)
    assert running.get("/").text == target.address


def test_a_server_that_is_silent_is_passed_over(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    (target,) = targets(1)
    dns.addresses("orders.test", target.host)
    dead = FakeDns()
    dead.silent = True
    try:
        setup = document({"targets": [{"address": f"orders.test:{target.port}"}]}, dns)
        setup["resolver"] = {"servers": [dead.address, dns.address], "timeout": "100ms"}
        assert gateway(setup).get("/").text == target.address
    finally:
        dead.stop()


def test_an_answer_that_is_too_long_comes_over_tcp(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    two = targets(2)
    dns.addresses("orders.test", *(target.host for target in two))
    dns.misbehave = lambda question, proper: [proper[:2] + b"\x83" + proper[3:6] + b"\0\0" + proper[8 : len(question)]]
    running = each(gateway, dns, two[0].port)
    eventually(lambda: reached(running, 4).keys() == addresses_of(two))
    assert dns.over_tcp > 0


def test_service_records_bring_ports_weights_and_priorities(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    light, heavy, spare = (targets(1)[0] for _ in range(3))
    dns.addresses("a.test", light.host)
    dns.services(
        "_http._tcp.orders.test",
        (10, 1, light.port, "a.test"),
        (10, 3, heavy.port, "a.test"),
        (20, 1, spare.port, "a.test"),
    )
    running = gateway(document({"targets": [{"address": "_http._tcp.orders.test", "resolve": "srv"}]}, dns))
    eventually(lambda: reached(running, 8) == {light.address: 2, heavy.address: 6})


def test_a_name_that_is_one_target_goes_to_the_address_that_connects(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    (target,) = targets(1)
    # Nobody listens on the first of them; IPv6 is tried first.
    dns.addresses("orders.test", "127.0.0.66", target.host, "::1")
    running = gateway(document({"targets": [{"address": f"orders.test:{target.port}"}]}, dns))
    assert reached(running, 5) == {target.address: 5}


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second_once(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    (target,) = targets(1)
    # A socket whose queue is full neither takes nor refuses connections.
    deaf = socket.create_server(("127.0.0.77", target.port), backlog=0)
    fillers = []
    try:
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.77", target.port))
            fillers.append(filler)
        dns.addresses("orders.test", "127.0.0.77", target.host)
        running = gateway(document({"targets": [{"address": f"orders.test:{target.port}"}]}, dns, pool={"max_idle": 0}))
        began = time.monotonic()
        assert running.get("/").text == target.address
        assert time.monotonic() - began > 0.2
        began = time.monotonic()
        assert running.get("/").text == target.address
        assert time.monotonic() - began < 0.2
    finally:
        for filler in [deaf, *fillers]:
            filler.close()


def test_only_addresses_of_the_family_are_used(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    (target,) = targets(1)
    dns.addresses("orders.test", target.host, "::1")
    setup = document({"targets": [{"address": f"orders.test:{target.port}", "resolve": "each"}]}, dns)
    setup["resolver"]["family"] = "ipv4"
    running = gateway(setup)
    eventually(lambda: running.server.targets("s"))
    assert reached(running, 6) == {target.address: 6}
    assert all(kind == 1 for _, kind in dns.asked)


def test_short_names_are_searched(gateway: StartGateway, dns: FakeDns, targets: StartTargets) -> None:
    (target,) = targets(1)
    dns.addresses("orders.prod.test", target.host)
    setup = document({"targets": [{"address": f"orders:{target.port}"}]}, dns)
    setup["resolver"]["search"] = ["dev.test", "prod.test"]
    assert gateway(setup).get("/").text == target.address


def test_while_nobody_answers_requests_fail_at_once_after_the_first(gateway: StartGateway, dns: FakeDns) -> None:
    dns.silent = True
    running = gateway(document({"targets": [{"address": "orders.test:80"}]}, dns, retries=0))
    assert running.get("/").code == "upstream_unresolved"
    began = time.monotonic()
    assert running.get("/").code == "upstream_unresolved"
    assert time.monotonic() - began < 0.2


def test_a_family_that_is_not_answered_for_does_not_hide_the_other(
    gateway: StartGateway, dns: FakeDns, targets: StartTargets
) -> None:
    two = targets(2)
    dns.addresses("orders.test", *(target.host for target in two))
    dns.misbehave = lambda question, proper: [proper] if parsed(question)[1] == A else []
    running = each(gateway, dns, two[0].port)
    eventually(lambda: reached(running, 4).keys() == addresses_of(two))


def test_service_records_for_whose_hosts_nobody_answers_do_not_go_on_for_ever(
    gateway: StartGateway, dns: FakeDns
) -> None:
    name = "_http._tcp.orders.test"
    dns.services(name, *((0, 1, 80, f"h{number}.orders.test") for number in range(100)))
    dns.misbehave = lambda question, proper: [proper] if parsed(question)[0] == name else []
    upstream = {"targets": [{"address": name, "resolve": "srv"}]}
    resolver = {"servers": [dns.address], "timeout": "100ms", "attempts": 1}
    running = gateway({**document(upstream), "resolver": resolver})
    assert running.get("/").code == "upstream_unresolved"
    assert len({asked for asked, _ in dns.asked if asked != name}) < 10
