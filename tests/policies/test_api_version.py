"""`api_version` and the `versions` of a route: who asks for which, what is told of old ones, and their end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tidegate import ConfigError, Gateway, MediaType, Respond, Route, Service, Version, Versions, load

from tests.conftest import StartGateway
from tests.echo import EchoGateway, Start, ask
from tests.policies.documents import refusal

TOLD = ("deprecation", "sunset", "link", "vary")


def route(by: Any, **changes: Any) -> dict[str, Any]:
    versions = {
        "by": by,
        "list": [
            {"name": "1", "respond": {"body": "one"}, "deprecated": "2026-01-01", "sunset": "2199-12-31"},
            {"name": "2", "respond": {"body": "two"}},
        ],
        **changes,
    }
    return {"name": "orders", "paths": ["/orders"], "versions": versions}


def counted(gateway: EchoGateway) -> dict[tuple[str, str], int]:
    pattern = r'^tidegate_api_versions_total\{version="([^"]+)",state="([^"]+)"\} (\d+)$'
    return {
        (version, state): int(n) for version, state, n in re.findall(pattern, gateway.metrics()[1], re.M) if n != "0"
    }


@pytest.mark.parametrize(
    ("by", "target", "header"),
    [
        ("{header.x-api-version}", "/orders", ("X-API-Version", "{}")),
        ("{query.version}", "/orders?version={}", None),
        ("{cookie.version}", "/orders", ("Cookie", "a=b; version={}")),
        (
            {"media_type": "application/vnd.shop.v{version}+json"},
            "/orders",
            ("Accept", "application/vnd.shop.v{}+json"),
        ),
    ],
)
def test_a_request_names_its_version(start: Start, by: Any, target: str, header: tuple[str, str] | None) -> None:
    gateway = start({}, routes=[route(by)])
    unknown = (406, "version_not_acceptable") if isinstance(by, dict) else (400, "unknown_version")
    for name, status, body in (("1", 200, b"one"), ("2", 200, b"two"), ("3", *unknown), ("12", *unknown)):
        headers = [] if header is None else [(header[0], header[1].format(name))]
        answer = ask(gateway, target=target.format(name), headers=headers)
        assert answer.status == status, name
        assert (answer.body if status == 200 else answer.json()["code"]) == body, name
    answer = ask(gateway, target="/orders")
    assert (answer.status, answer.json()["code"]) == (400, "missing_version")


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("text/html, application/vnd.shop.v1+json;q=0.9, */*", b"one"),
        ("APPLICATION/VND.SHOP.V1+JSON", b"one"),
        ("application/vnd.shop.v2+json , application/vnd.shop.v1+json", b"one"),
        ("*/*", b"two"),
        ("application/json", b"two"),
        ("application/vnd.shop.v1+jsonp", b"two"),
        ("xapplication/vnd.shop.v1+json", b"two"),
    ],
)
def test_a_media_type_is_found_among_others(start: Start, accept: str, body: bytes) -> None:
    by = {"media_type": "application/vnd.shop.v{version}+json"}
    gateway = start({}, routes=[route(by, default="2")])
    assert ask(gateway, target="/orders", headers=[("Accept", accept)]).body == body


def test_the_default_takes_who_names_none_and_nobody_else(start: Start) -> None:
    gateway = start({}, routes=[route("{header.x-api-version}", default="2")])
    assert ask(gateway, target="/orders").body == b"two"
    assert ask(gateway, target="/orders", headers=[("X-API-Version", "9")]).status == 400
    assert counted(gateway) == {("orders@2", "current"): 1, ("orders@unknown", "refused"): 1}


def test_a_path_names_its_version_by_a_segment(start: Start) -> None:
    versions = [
        {"name": "v1", "rewrite": "/{path.id}?old"},
        {"name": "v2", "rewrite": "/{path.id}", "policies": {"request_headers": {"set": {"x-two": "yes"}}}},
    ]
    described = {"by": "{path.version}", "default": "v2", "list": versions}
    users = {"name": "users", "paths": ["/api/{version}/users/{id}"], "service": "echo", "versions": described}
    gateway = start({}, routes=[users])
    seen = {path: ask(gateway, target=path) for path in ("/api/v1/users/7", "/api/v2/users/7", "/api/users/7")}
    assert [answer.echo.target for answer in seen.values()] == ["/7?old", "/7", "/7"]
    assert [answer.echo.all("x-two") for answer in seen.values()] == [[], ["yes"], ["yes"]]
    assert ask(gateway, target="/api/v3/users/7").status == 404


def test_clients_and_caches_are_told(start: Start) -> None:
    described = route("{header.X-API-Version}", default="2")
    described["versions"]["list"][0]["link"] = "https://docs.example.com/v1"
    gateway = start({}, routes=[described])
    old = ask(gateway, target="/orders", headers=[("X-API-Version", "1")])
    assert old.all("deprecation") == ["@1767225600"]
    assert old.all("sunset") == ["Tue, 31 Dec 2199 00:00:00 GMT"]
    assert old.all("link") == [f'<https://docs.example.com/v1>; rel="{what}"' for what in ("deprecation", "sunset")]
    new = ask(gateway, target="/orders")
    assert [new.all(name) for name in TOLD] == [[], [], [], ["x-api-version"]]
    assert counted(gateway) == {("orders@1", "deprecated"): 1, ("orders@2", "current"): 1}


def test_a_version_ends_on_its_day(start: Start) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    described = route("{header.x-api-version}")
    described["versions"]["list"][0]["sunset"] = tomorrow
    gateway = start({}, routes=[described])
    asked: dict[str, Any] = {"target": "/orders", "headers": [("X-API-Version", "1")]}
    assert ask(gateway, **asked).status == 200
    gateway.advance(86_400)
    answer = ask(gateway, **asked)
    assert (answer.status, answer.json()["code"]) == (410, "version_gone")
    assert answer.all("sunset") != []
    assert counted(gateway) == {("orders@1", "deprecated"): 1, ("orders@1", "gone"): 1}
    described["versions"]["list"][0]["after_sunset"] = "serve"
    gateway.reload({}, routes=[described])
    assert ask(gateway, **asked).status == 200


def test_it_stands_alone_and_before_credentials(start: Start) -> None:
    policies = {"api_version": {"name": "all@1", "sunset": "2020-01-01"}, "basic": {}}
    answer = ask(start(policies))
    assert (answer.status, answer.all("sunset")) == (410, ["Wed, 01 Jan 2020 00:00:00 GMT"])


def test_what_a_service_tells_of_itself_stays(start: Start) -> None:
    gateway = start({"api_version": {"name": "all@1", "vary": "Accept"}})
    assert ask(gateway, target="/fields").all("vary") == ["accept"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"deprecated": "2026-02-01", "sunset": "2026-01-01"}, "it ends before it is deprecated"),
        ({"deprecated": "2026-13-01"}, "expected a day"),
        ({"deprecated": "2026-01-01T10:00:00"}, "has no offset"),
        ({"deprecated": "2026-01-01", "link": "docs"}, "expected an address"),
        ({"deprecated": "2026-01-01", "link": "https://x/>; rel=next"}, "is not an address"),
        ({"link": "https://x/"}, "nothing to read about"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, {"api_version": {"name": "a", **options}})


def problems(tmp_path: Path, **changes: Any) -> list[str]:
    file = tmp_path / "gateway.yaml"
    described = {**route("{header.x-api-version}"), **changes.pop("route", {})}
    described["versions"] |= changes
    file.write_text(yaml.safe_dump({"routes": [described]}, sort_keys=False))
    with pytest.raises(ConfigError) as error:
        load(file)
    return [f"{problem.path}: {problem.message}" for problem in error.value.problems]


def test_each_problem_is_told_once_and_in_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, default="9") == ["routes[0].versions.default: there is no version `9`"]
    assert problems(tmp_path, by="{claims.sub}") == ["routes[0].versions.by: `{claims.sub}` names no version"]
    (message,) = problems(tmp_path, by="{path.version}")
    assert message.startswith("routes[0].versions.by: not every path of the route has a segment")
    (message,) = problems(tmp_path, by={"media_type": "application/json"})
    assert message.startswith("routes[0].versions.by.media_type: expected a media type with")
    version = {"name": "1", "service": "nobody"}
    assert problems(tmp_path, default="1", list=[version]) == [
        "routes[0].versions.list[0].service: no service is named `nobody`"
    ]
    assert problems(tmp_path, list=[{"name": "1", "respond": {}}, {"name": "1", "respond": {}}])[0] == (
        "routes[0].versions.list[1].name: the version `1` is already there"
    )
    assert problems(tmp_path, list=[{"name": "1"}]) == ["routes[0]: the route has no action"]
    wrong = {"policies": {"rate_limit": {"limit": "many"}}}
    assert all(message.startswith("routes[0].policies.rate_limit") for message in problems(tmp_path, route=wrong))


def test_typed_python_says_the_same(gateway: StartGateway) -> None:
    described = Gateway(
        services=[Service(name="unused", url="http://127.0.0.1:9")],
        routes=[
            Route(
                name="orders",
                paths=["/orders"],
                versions=Versions(
                    by=MediaType(media_type="application/vnd.shop.v{version}+json"),
                    default="2",
                    list=[
                        Version(name="1", respond=Respond(body="one"), deprecated="2026-01-01"),
                        Version(name="2", respond=Respond(body="two")),
                    ],
                ),
            )
        ],
    )
    assert "deprecated: '2026-01-01'" in described.to_yaml()
    answer = gateway(described).get("/orders", headers={"Accept": "application/vnd.shop.v1+json"})
    assert (answer.body, dict(answer.fields)["deprecation"]) == (b"one", "@1767225600")
