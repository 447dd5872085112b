"""Loading a document, from file to plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tidegate import (
    ConfigError,
    Gateway,
    Limits,
    Listener,
    Policies,
    RequestId,
    Respond,
    Route,
    Service,
    Target,
    Upstream,
    UsageError,
    load,
)
from tidegate.config import redacted


def write(folder: Path, text: str, name: str = "gateway.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_python_and_yaml_give_the_same_plan(tmp_path: Path) -> None:
    orders = Service(name="orders", url="http://127.0.0.1:9001")
    gateway = Gateway(services=[orders], routes=[Route(name="orders", paths=["/orders"], service=orders)])
    text = (
        "services: [{name: orders, url: 'http://127.0.0.1:9001'}]\n"
        "routes: [{name: orders, paths: [/orders], service: orders}]\n"
    )
    assert load(write(tmp_path, text)).plan == gateway.load().plan
    assert load(write(tmp_path, gateway.to_yaml())).plan == gateway.load().plan


def test_no_listeners_means_8080_on_loopback(tmp_path: Path) -> None:
    plan = json.loads(load(write(tmp_path, "")).plan)
    assert [listener["address"] for listener in plan["listeners"]] == ["127.0.0.1:8080"]


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "services:\n  - name: orders\n    url: http://127.0.0.1:1\n    read_timeout: soon\n"
        "routes:\n  - name: a\n    paths: [/a]\n    service: order\n    hots: [x]\n",
    )
    with pytest.raises(ConfigError) as error:
        load(file)
    assert str(error.value) == (
        f"{file}:4  services[0].read_timeout: expected a duration such as `2s`, got `soon`  [config.bad_duration]\n"
        f"{file}:8  routes[0].service: no service is named `order`  [config.unknown_name]\n"
        "  hint: did you mean `orders`?\n"
        f"{file}:9  routes[0].hots: unknown key `hots`  [config.unknown_key]\n"
        "  hint: did you mean `hosts`?"
    )


def test_the_document_is_shown_without_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text("t0ken\n")
    loaded = load(
        write(
            tmp_path,
            "services:\n  - name: s\n    url: http://${env:HOST}\n"
            "    policies:\n      request_headers:\n"
            "        set: {Authorization: Bearer x, x-key: '${file:token.txt}', x-plain: y}\n"
            "    routes: [{name: child, paths: [/c]}]\n"
            "routes:\n  - {name: r, service: s, headers: {x-api-key: k, x-other: [v]}}\n",
        ),
        {"HOST": "10.1.2.3"},
    )
    assert redacted(loaded.written()) == {
        "services": [
            {
                "name": "s",
                "url": "http://${env:HOST}",
                "policies": {
                    "request_headers": {
                        "set": {"Authorization": "(redacted)", "x-key": "${file:token.txt}", "x-plain": "y"}
                    }
                },
                "routes": [{"name": "child", "paths": ["/c"]}],
            }
        ],
        "routes": [{"name": "r", "service": "s", "headers": {"x-api-key": "(redacted)", "x-other": ["v"]}}],
    }
    assert "t0ken" not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-auth", "s3cret"),
        ("x-access-key", "s3cret"),
        ("ocp-apim-subscription-key", "s3cret"),
        ("x-passphrase", "s3cret"),
        ("x-signature", "s3cret"),
        ("x-session", "s3cret"),
        ("x-upstream", "Bearer s3cret"),
        ("x-upstream", "basic s3cret"),
    ],
)
def test_no_header_that_tells_of_a_secret_is_shown(tmp_path: Path, name: str, value: object) -> None:
    route = {"name": "r", "paths": ["/"], "respond": {"headers": {name: value}}}
    loaded = load(write(tmp_path, json.dumps({"routes": [route]})))
    shown = json.dumps(redacted(loaded.written()))
    assert "s3cret" not in shown
    assert "(redacted)" in shown


def test_what_the_engine_finds_gets_its_place_in_the_document(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "services:\n  - name: s\n    url: http://a\n    routes:\n      - name: one\n        paths: [/a]\n"
        "routes:\n  - {name: off, enabled: false, respond: {}}\n"
        "  - name: two\n    respond: {}\n    paths:\n      - ~(\n",
    )
    loaded = load(file)
    found = loaded.problems([("routes[1].paths[0]", "routing.bad_regex", "bad"), ("routes[0].name", "x.y", "odd")])
    assert [str(problem) for problem in found] == [
        f"{file}:5  services[0].routes[0].name: odd  [x.y]",
        f"{file}:12  routes[1].paths[0]: bad  [routing.bad_regex]",
    ]


def test_a_gateway_written_down_loads_to_the_same_plan(tmp_path: Path) -> None:
    gateway = Gateway(
        listeners=[Listener(address="127.0.0.1:0", limits=Limits(head=4096))],
        services=[
            Service(name="s", upstream=Upstream(targets=[Target(address="10.0.0.1:80")]), read_timeout=1500),
            Service(name="no", url="http://a", policies=Policies(forwarded=None)),
        ],
        routes=[
            Route(name="on", hosts=["no"], service="s", headers={"x": True, "y": ["1", "~2"]}, max_body=2048),
            Route(name="1.5", paths=["/a/{id}"], respond=Respond(body={"a": "{path.id}", "n": "null"})),
            Route(name="h", handler="json:dumps", policies=Policies(request_id=RequestId(header="x-id"))),
        ],
        admin=None,
        access_log="off",
        drain_timeout=90_000,
    )
    text = gateway.to_yaml()
    loaded = load(write(tmp_path, text))
    assert loaded.plan == gateway.load().plan
    assert loaded.admin is None
    assert "drain_timeout: 90s" in text


def test_a_handler_that_no_module_holds_cannot_be_written_down() -> None:
    gateway = Gateway(routes=[Route(name="r", handler=lambda request: "hello")])
    assert [handler.target for handler in gateway.load().handlers] == [gateway.routes[0].handler]
    with pytest.raises(UsageError, match="put it into a module"):
        gateway.to_yaml()


def test_a_mistake_in_python_is_told_in_our_words() -> None:
    with pytest.raises(ConfigError) as error:
        Service(name="s", url="http://a", read_timout="2s")  # type: ignore[call-arg]
    assert str(error.value) == (
        "Service('s').read_timout: unknown key `read_timout`  [config.unknown_key]\n"
        "  hint: did you mean `read_timeout`?"
    )


def test_what_the_engine_finds_inside_of_an_action_or_a_policy_gets_the_name_it_has_in_the_document(
    tmp_path: Path,
) -> None:
    file = write(
        tmp_path,
        "trusted_proxies:\n  - 10.0.0.0/8\nservices: [{name: s, url: 'http://a'}]\n"
        "routes:\n  - name: one\n    service: s\n    rewrite: /x\n    policies:\n"
        "      request_id: {}\n      request_headers:\n        set: {x-a: b}\n",
    )
    found = [
        ("routes[0].action.rewrite", "a.b", "one"),
        ("routes[0].policies[3].set[0].value", "a.b", "two"),
        ("routes[0].action", "a.b", "three"),
        ("trusted_proxies[0]", "a.b", "four"),
        ("", "a.b", "five"),
    ]
    assert [str(problem) for problem in load(file).problems(found)] == [
        "five  [a.b]",
        f"{file}:2  trusted_proxies[0]: four  [a.b]",
        f"{file}:5  routes[0]: three  [a.b]",
        f"{file}:7  routes[0].rewrite: one  [a.b]",
        f"{file}:11  routes[0].policies.request_headers.set: two  [a.b]",
    ]
