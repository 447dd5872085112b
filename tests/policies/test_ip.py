"""`ip`: who is let in by its address."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tidegate import ConfigError, load
from tidegate.store.secret import digest

from tests.echo import Start, ask
from tests.policies.documents import refusal

PROXY: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}


@pytest.mark.parametrize(
    ("options", "client", "status"),
    [
        ({"allow": ["10.0.0.0/8"]}, "10.1.2.3", 200),
        ({"allow": ["10.0.0.0/8"]}, "11.1.2.3", 403),
        ({"allow": "10.1.2.3"}, "10.1.2.3", 200),
        ({"allow": ["2001:db8::/32"]}, "2001:db8::7", 200),
        ({"allow": ["2001:db8::/32"]}, "2001:db9::7", 403),
        ({"allow": ["2001:db8::/32"]}, "10.1.2.3", 403),
        ({"allow": ["0.0.0.0/0"]}, "2001:db8::7", 403),
        ({"allow": ["::/0"]}, "10.1.2.3", 403),
        ({"deny": ["10.0.0.0/8"]}, "10.1.2.3", 403),
        ({"deny": ["10.0.0.0/8"]}, "11.1.2.3", 200),
        ({"allow": []}, "10.1.2.3", 403),
        ({"deny": []}, "10.1.2.3", 200),
    ],
)
def test_a_list_decides(start: Start, options: dict[str, Any], client: str, status: int) -> None:
    gateway = start({"ip": options}, **PROXY)
    assert ask(gateway, headers=[("X-Forwarded-For", client)]).status == status


@pytest.mark.parametrize(
    ("client", "status"), [("10.0.0.1", 200), ("10.6.6.6", 403), ("10.6.6.7", 200), ("10.7.7.7", 403)]
)
def test_deny_wins_however_long_the_prefix(start: Start, client: str, status: int) -> None:
    gateway = start({"ip": {"allow": ["10.0.0.0/8", "10.7.7.7"], "deny": ["10.6.6.6", "10.7.0.0/16"]}}, **PROXY)
    assert ask(gateway, headers=[("X-Forwarded-For", client)]).status == status


def test_the_refusal_has_a_code_and_says_no_more(start: Start) -> None:
    answer = ask(start({"ip": {"deny": ["127.0.0.1"]}, "request_id": {}}))
    assert answer.status == 403
    assert answer.json()["code"] == "address_denied"
    assert set(answer.json()) == {"type", "title", "status", "code", "request_id"}


@pytest.mark.parametrize("written", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_an_ipv4_address_is_one_however_it_is_written(start: Start, written: str) -> None:
    gateway = start({"ip": {"allow": [written]}}, **PROXY)
    for client in ("127.0.0.1", "::ffff:127.0.0.1", "::FFFF:7f00:1"):
        headers = [("X-Forwarded-For", client)]
        assert ask(gateway, headers=headers).status == 200, client


def test_a_client_cannot_say_that_it_is_another(start: Start) -> None:
    gateway = start({"ip": {"deny": ["127.0.0.1"]}})
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For"):
        assert ask(gateway, headers=[(name, "10.1.2.3")]).status == 403


def test_a_proxy_that_is_let_in_lets_nobody_else_in(start: Start) -> None:
    gateway = start({"ip": {"allow": ["127.0.0.1", "10.1.2.3"]}}, **PROXY)
    for chain, status in (
        ("10.1.2.3", 200),
        ("10.1.2.3, 6.6.6.6", 403),
        ("6.6.6.6, 10.1.2.3", 200),
        # What cannot be read ends the search at the last hop that is known, here the proxy itself.
        ("nonsense", 200),
    ):
        assert ask(gateway, headers=[("X-Forwarded-For", chain)]).status == status, chain


def test_a_client_on_a_unix_socket_is_in_no_network(start: Start, tmp_path: Path) -> None:
    for number, (options, status) in enumerate(
        (({"allow": ["unix:"]}, 200), ({"allow": ["0.0.0.0/0", "::/0"]}, 403), ({"deny": ["unix:"]}, 403))
    ):
        path = tmp_path / f"{number}.socket"
        gateway = start({"ip": options}, address=f"unix:{path}")
        assert ask(gateway, unix=path).status == status, options


def test_a_route_has_a_list_of_its_own(start: Start) -> None:
    inside = {
        "name": "inside",
        "paths": ["/inside"],
        "respond": {"status": 204},
        "policies": {"ip": {"allow": "10.0.0.0/8"}},
    }
    off = {"name": "off", "paths": ["/off"], "respond": {"status": 204}, "policies": {"ip": "off"}}
    gateway = start({"ip": {"deny": ["10.0.0.0/8"]}}, routes=[inside, off], **PROXY)
    for target, status in (("/inside", 204), ("/off", 204), ("/", 403), ("/nowhere-at-all", 403)):
        assert ask(gateway, target=target, headers=[("X-Forwarded-For", "10.1.2.3")]).status == status, target


def write(folder: Path, text: str, **options: Any) -> Path:
    file = folder / "gateway.yaml"
    (folder / "list.txt").write_text(text)
    file.write_text(
        "routes:\n- {name: all, paths: [/], respond: {status: 204}, policies: {ip: {deny: '${file:list.txt}'}}}"
    )
    return file


def test_a_list_may_come_from_a_file(tmp_path: Path, gateway: Any) -> None:
    text = "# bad neighbours\n127.0.0.1 ; us\n\n10.0.0.0/8, 2001:db8::/32\n"
    running = gateway(write(tmp_path, text))
    assert running.get("/").status == 403


def test_a_bad_line_of_a_file_is_told_by_its_number_and_not_shown(tmp_path: Path) -> None:
    text = "".join(f"{network}\n" for network in ("10.0.0.0/8", "10.0.0.1/8", "hunter2", "::/0", *["oops"] * 6))
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    messages = [str(problem) for problem in caught.value.problems]
    assert any("line 2 of `${file:list.txt}`" in message for message in messages)
    assert any("3 more lines" in message for message in messages)
    assert not any("hunter2" in message or "10.0.0.1/8" in message for message in messages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`allow` or `deny` is missing"),
        ({"allow": ["10.0.0.1/8"]}, "expected an address or a network"),
        ({"deny": ["localhost"]}, "expected an address or a network"),
    ],
)
def test_a_list_that_makes_no_sense_does_not_load(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, {"ip": options})


def test_a_bad_entry_is_the_only_problem(tmp_path: Path) -> None:
    problems = refusal(tmp_path, {"ip": {"deny": ["10.0.0.0/8", "oops"]}})
    assert problems.count("[config.") == 1


def test_a_long_list_is_as_good_as_a_short_one(tmp_path: Path, gateway: Any) -> None:
    chance = random.Random(4)
    networks = [ipaddress.IPv4Network((chance.getrandbits(24) << 8, 24)) for _ in range(100_000)]
    document = "trusted_proxies: [127.0.0.1]\npolicies: {ip: {deny: '${file:list.txt}'}}\nroutes:\n" + "".join(
        f"- {{name: r{index}, paths: [/{index}], respond: {{status: 204}}}}\n" for index in range(50)
    )
    (tmp_path / "gateway.yaml").write_text(document)
    (tmp_path / "list.txt").write_text("\n".join(map(str, networks)))
    loaded = load(tmp_path / "gateway.yaml")
    # It stands in the plan once, not once for each route.
    assert len(loaded.plan) < 4_000_000
    running = gateway(tmp_path / "gateway.yaml")
    listed = set(networks)
    asked: Sequence[ipaddress.IPv4Address] = [
        *(network[chance.randrange(256)] for network in chance.sample(networks, 20)),
        *(ipaddress.IPv4Address(chance.getrandbits(32)) for _ in range(20)),
    ]
    for address in asked:
        denied = ipaddress.IPv4Network((int(address) & ~255, 24)) in listed
        answer = running.get("/7", headers={"X-Forwarded-For": str(address)})
        assert answer.status == (403 if denied else 204), address


def test_a_consumer_comes_from_where_both_lists_let_it_in(start: Start) -> None:
    key = "a-key-of-some-length"
    consumer = {"name": "acme", "keys": [f"sha256:{digest(key)}"], "policies": {"ip": {"allow": ["10.0.0.0/8"]}}}
    other = {"name": "other", "keys": [f"sha256:{digest(key + '2')}"]}
    policies = {"api_key": {}, "ip": {"deny": ["10.6.6.6"]}}
    gateway = start(policies, consumers=[consumer, other], **PROXY)
    for shown, client, status in (
        (key, "10.1.2.3", 200),
        (key, "11.1.2.3", 403),
        (key, "10.6.6.6", 403),
        (key + "2", "11.1.2.3", 200),
        (key + "2", "10.6.6.6", 403),
    ):
        headers = [("X-Api-Key", shown), ("X-Forwarded-For", client)]
        assert ask(gateway, headers=headers).status == status, (shown, client)
