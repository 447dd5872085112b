"""The commands, through `main`: what they print where, and the exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tidegate.cli import main
from tidegate.config.schema import schema

DOCUMENT = """\
trusted_proxies: [10.0.0.0/8]
services:
  - name: orders
    url: http://orders.internal:8080/api
  - name: secure
    url: https://secure.internal
    policies: {request_headers: {set: {x-tenant: "{path.tenant}"}}}
routes:
  - name: orders
    paths: [/orders]
    service: orders
    strip_path: false
  - name: order
    paths: ["/orders/{id}"]
    methods: [GET]
    service: orders
    rewrite: /v2/orders/{path.id}
  - name: tenant
    hosts: ["*.example.com"]
    paths: ["/t/{tenant}"]
    headers: {x-version: ["1", "2"]}
    service: secure
    preserve_host: true
  - name: away
    paths: ["=/away"]
    redirect: {location: https://example.com/}
  - name: unreachable
    paths: [/orders]
    respond: {}
policies: {request_id: {}}
"""


@dataclass
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command."""

    def run(*arguments: str | Path) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A file with the document."""
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT)
    return file


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file with two problems."""
    file = tmp_path / "broken.yaml"
    file.write_text(
        "services:\n  - {name: s, url: 'http://a', read_timeout: soon}\nroutes:\n  - {name: r, service: t}\n"
    )
    return file


def test_check_of_a_good_document(command: Command, document: Path) -> None:
    outcome = command("check", document)
    assert outcome.code == 0
    assert outcome.out == f"{document}: ok (1 listener, 2 services, 5 routes)\n"


def test_check_warns_of_routes_that_can_never_match(command: Command, document: Path) -> None:
    outcome = command("check", document)
    assert outcome.err == (
        f"warning: {document}:27  routes[4]: this route can never match; `orders` before it takes all its requests"
        "  [config.unreachable_route]\n"
    )


def test_a_program_is_no_document(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "gateway.py"
    file.write_text("from tidegate import Gateway\n")
    outcome = command("check", file)
    assert outcome.code == 1
    assert outcome.err.startswith(f"{file}  this is Python, not a document  [config.file_unreadable]\n  hint: run it")


@pytest.mark.parametrize("name", ["check", "routes"])
def test_a_document_without_routes_is_warned_of(command: Command, tmp_path: Path, name: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("# nothing yet\n")
    outcome = command(name, file)
    assert outcome.code == 0
    assert outcome.err == (
        f"warning: {file}  there are no routes: every request is answered with 404  [config.no_routes]\n"
        "  hint: write some under `routes`\n"
    )


def test_check_tells_every_problem(command: Command, broken: Path, document: Path) -> None:
    outcome = command("check", broken, document)
    assert outcome.code == 1
    assert outcome.err.splitlines()[:3] == [
        f"{broken}:2  services[0].read_timeout: expected a duration such as `2s`, got `soon`  [config.bad_duration]",
        f"{broken}:4  routes[0].service: no service is named `t`  [config.unknown_name]",
        "2 problems",
    ]
    assert outcome.out == f"{document}: ok (1 listener, 2 services, 5 routes)\n"


def test_check_as_json(command: Command, broken: Path, document: Path) -> None:
    bad, good = command("check", "--json", broken, document).json
    assert (bad["ok"], [problem["line"] for problem in bad["problems"]]) == (False, [2, 4])
    assert bad["problems"][0]["code"] == "config.bad_duration"
    assert (good["ok"], good["routes"], good["services"], good["listeners"]) == (True, 5, 2, 1)
    assert [warning["code"] for warning in good["warnings"]] == ["config.unreachable_route"]


def test_check_finds_what_only_the_engine_can_find(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("routes:\n  - name: r\n    respond: {}\n    paths:\n      - ~/a(\n")
    outcome = command("check", file)
    assert outcome.code == 1
    assert outcome.err.startswith(f"{file}:5  routes[0].paths[0]: ")


def test_check_imports_handlers(command: Command, tmp_path: Path) -> None:
    (tmp_path / "shop_check_handlers.py").write_text("def hello(request):\n    return 'hello'\n")
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "routes:\n  - {name: r, handler: 'shop_check_handlers:hello'}\n  - {name: s, handler: 'nowhere_x:y'}\n"
    )
    outcome = command("check", file)
    assert outcome.code == 1
    assert outcome.err.startswith(f"{file}:3  routes[1].handler: there is no module `nowhere_x`")
    assert outcome.err.count("[config.") == 1


def test_routes_are_listed_in_the_order_of_precedence(command: Command, document: Path) -> None:
    outcome = command("routes", document)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == [
        "ROUTE", "HOST", "PATH", "METHODS", "CONDITIONS", "ANSWERS", "NOTES",
    ]  # fmt: skip
    names = [line.split()[1] for line in lines[1:]]
    assert sorted(names) == ["away", "order", "orders", "tenant", "unreachable"]
    assert names.index("orders") < names.index("unreachable")
    assert "SHADOWED by orders" in lines[1 + names.index("unreachable")]
    assert "can never match" in outcome.err


def test_routes_as_json(command: Command, document: Path) -> None:
    lines = command("routes", "--json", document).json
    assert next(line for line in lines if line["name"] == "tenant")["conditions"] == ["header x-version=1|2"]
    assert next(line for line in lines if line["name"] == "away")["action"] == "redirect 302"


def test_the_route_that_publishes_keys_is_among_the_others(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    policy = "{issuer: https://g.example, rotate: 24h, key_file: keys.json}"
    file.write_text(
        "services: [{name: a, url: http://127.0.0.1:9}]\nroutes: [{name: a, paths: [/a], service: a}]\n"
        f"policies: {{signed_identity: {policy}}}\n"
    )
    assert "signing keys" in command("routes", file).out
    path = "/.well-known/tidegate/jwks.json"
    assert "signing keys" in command("explain", file, "GET", f"http://x{path}").out
    assert command("explain", file, "GET", "http://x/a").code == 0
    assert not (tmp_path / "keys.json").exists()


def test_explain_names_the_route_and_what_is_sent(command: Command, document: Path) -> None:
    outcome = command(
        "explain", document, "GET", "/orders/17?full=1", "-H", "Connection: close, x-hop", "-H", "x-hop: 1"
    )
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "route order"
    assert "  id = 17" in outcome.out
    assert "  answered by service orders" in outcome.out
    assert "  GET http://orders.internal:8080/api/v2/orders/17?full=1" in outcome.out
    assert "  host: orders.internal:8080" in outcome.out
    assert "  x-forwarded-for: 127.0.0.1" in outcome.out
    assert "x-hop" not in outcome.out
    assert re.search(r"^  orders: .*longer literal prefix|^  orders: ", outcome.out, re.MULTILINE)


COMPOSE = """\
services: [{name: orders, url: "http://127.0.0.1:1"}, {name: users, url: "http://127.0.0.1:2"}]
routes:
  - name: details
    paths: ["/details/{id}"]
    compose:
      timeout: 2s
      calls:
        order: {service: orders, path: "/orders/${env:REGION}/{path.id}"}
        user: {service: users, path: "/users/{order.user}", optional: true}
      response: {order: "{order}", user: "{user}"}
  - {name: plain, paths: [/plain], respond: {}}
  - {name: both, paths: [/both], split: {services: [{service: orders}, {service: users}]}, mirror: {service: users}}
"""


def test_explain_prints_the_calls_of_a_composed_answer(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGION", "north-west")
    file = tmp_path / "gateway.yaml"
    file.write_text(COMPOSE)
    lines = command("explain", file, "GET", "/details/7").out.splitlines()
    assert "  answered by compose of 2 calls" in lines
    at = lines.index("calls, within 2s")
    assert lines[at : at + 6] == [
        "calls, within 2s",
        "  1  order  GET orders /orders/north-west/{path.id}",
        "  2  user   GET users /users/{order.user}  (needs order; optional)",
        "",
        "answers",
        "  response  order, user",
    ]
    calls = command("explain", file, "GET", "/details/7", "--json").json["calls"]
    assert [(call["level"], call["name"]) for call in calls] == [(0, "order"), (1, "user")]


def test_explain_draws_the_calls_of_a_composed_answer(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGION", "north-west")
    file = tmp_path / "gateway.yaml"
    file.write_text(COMPOSE)
    drawn = command("explain", file, "GET", "/details/7", "--mermaid")
    assert (drawn.code, drawn.out.splitlines()[0]) == (0, "flowchart LR")
    # Such a chart goes into pages, where no value from the environment belongs.
    assert "${env:REGION}" in drawn.out
    assert "north-west" not in drawn.out
    none = command("explain", file, "GET", "/plain", "--mermaid")
    assert (none.code, none.out) == (1, "")
    assert "no route with `compose` takes the request" in none.err


def test_routes_and_explain_name_every_service_of_a_route(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGION", "north-west")
    file = tmp_path / "gateway.yaml"
    file.write_text(COMPOSE)
    assert "services orders, users, copied to users" in command("routes", file).out
    assert "answered by services orders, users, copied to users" in command("explain", file, "GET", "/both").out


def test_explain_of_a_host_headers_and_a_client(command: Command, document: Path) -> None:
    outcome = command(
        "explain", document, "GET", "https://a.example.com/t/blue/x", "-H", "X-Version: 2", "--client", "10.1.1.1",
        "-H", "X-Forwarded-For: 192.0.2.7", "--json",
    )  # fmt: skip
    explained = outcome.json
    assert explained["winner"]["name"] == "tenant"
    sent = dict(explained["upstream"]["headers"])
    assert explained["upstream"]["url"].startswith("https://secure.internal:443/")
    assert (sent["host"], sent["x-tenant"]) == ("a.example.com", "blue")
    assert sent["x-forwarded-for"] == "192.0.2.7, 10.1.1.1"
    assert sent["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["GET", "/nowhere"], "404: no route takes the request"),
        (["POST", "/away"], "route away"),
        (["GET", "/a%zz"], "400: "),
        (["GET", "https://b.example.com/t/x"], "header `x-version` is missing"),
    ],
)
def test_explain_of_requests_that_no_service_gets(
    command: Command, document: Path, arguments: list[str], said: str
) -> None:
    outcome = command("explain", document, *arguments)
    assert said in outcome.out
    assert outcome.code == (0 if said.startswith("route") else 1)


# A route without `methods` takes every method, but the gateway lets TRACE through only where it is named.
def test_explain_knows_that_trace_must_be_named(command: Command, document: Path) -> None:
    outcome = command("explain", document, "TRACE", "/away")
    assert outcome.out.splitlines()[0] == "route away"
    assert "  but refused: method_not_allowed: TRACE is for routes that name it in `methods`" in outcome.out
    assert outcome.code == 1
    explained = command("explain", document, "TRACE", "/away", "--json").json
    assert (explained["outcome"], explained["upstream"]) == ("method_not_allowed", None)
    assert "TRACE" not in explained["allow"]


@pytest.mark.parametrize(("method", "hinted"), [("get", True), ("Post", True), ("GET", False), ("purge", False)])
def test_explain_of_a_method_in_lower_case_comes_with_a_hint(
    command: Command, document: Path, method: str, hinted: bool
) -> None:
    outcome = command("explain", document, method, "/away")
    assert (f"hint: methods are told apart by case: `{method}` is not `{method.upper()}`" in outcome.err) == hinted
    assert "hint" not in outcome.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["GET", "ftp://x/"],
        ["G T", "/"],
        ["GET", "/", "-H", "nonsense"],
        ["GET", "/", "--client", "nobody"],
        ["GET"],
    ],
)
def test_wrong_usage_of_explain(command: Command, document: Path, arguments: list[str]) -> None:
    outcome = command("explain", document, *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err


@pytest.mark.parametrize("name", ["routes", "explain"])
def test_a_broken_document_fails_with_its_problems(command: Command, broken: Path, name: str) -> None:
    outcome = command(name, broken, *(["GET", "/"] if name == "explain" else []))
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.endswith("2 problems\n")


def test_the_schema_takes_the_document(command: Command) -> None:
    outcome = command("schema")
    assert outcome.code == 0
    assert outcome.json == json.loads(json.dumps(schema()))
    jsonschema.validate(yaml.safe_load(DOCUMENT), outcome.json)


def test_version(command: Command) -> None:
    assert command("version").out.startswith("tidegate ")
    assert command("version", "--json").json["version"]
    assert command("--version").out.startswith("tidegate ")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check"], ["run", "x.yaml", "--workers", "0"]])
def test_wrong_usage(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).code == 2


def test_help_names_every_command(command: Command) -> None:
    outcome = command("--help")
    assert outcome.code == 0
    for name in ("run", "check", "explain", "routes", "keys", "schema", "demo", "version"):
        assert re.search(rf"^    {name}\b", outcome.out, re.MULTILINE)
