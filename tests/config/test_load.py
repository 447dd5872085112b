"""Loading a document, from file to plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tidegate import ConfigError, Gateway, Route, Service, load


def write(folder: Path, text: str, name: str = "gateway.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_python_and_yaml_give_the_same_plan(tmp_path: Path) -> None:
    orders = Service(name="orders", url="http://127.0.0.1:9001")
    gateway = Gateway(services=[orders], routes=[Route(name="orders", paths=["/orders"], service=orders)])  # type: ignore[arg-type]
    text = "services: [{name: orders, url: 'http://127.0.0.1:9001'}]\nroutes: [{name: orders, paths: [/orders], service: orders}]\n"
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
