"""`compose` in the document: what loads, what is warned of, and how it is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tidegate import Call, Compose, ConfigError, Gateway, Jwt, Policies, Problem, Route, Service, View
from tidegate.config import Loader, redacted
from tidegate.config.compose.doubts import doubts
from tidegate.config.compose.graph import cycle, levels, longest_chain, reachable
from tidegate.config.compose.shown import mermaid, shown_answers, shown_calls
from tidegate.config.schema import schema

SERVICES = """\
services:
  - {name: a, url: "http://127.0.0.1:1"}
  - {name: b, url: "http://127.0.0.1:2", timeout: 1s, policies: {jwt: {issuer: i, algorithms: [RS256], jwks: "https://i.example.com/k"}}}
"""
ROUTE = """\
routes:
  - name: r
    paths: ["/r/{id}"]
    compose:
"""


def document(compose: str) -> str:
    """A document with one composed answer."""
    return SERVICES + ROUTE + "".join(f"      {line}\n" for line in compose.strip().splitlines())


def plan(tmp_path: Path, compose: str) -> dict[str, Any]:
    """The plan of a composed answer."""
    file = tmp_path / "gateway.yaml"
    file.write_text(document(compose))
    action: dict[str, Any] = json.loads(Loader().load(file, {}).plan)["routes"][0]["action"]["compose"]
    return action


def warned(file: Path) -> list[Problem]:
    """What is warned of in a file."""
    loaded = Loader().load(file, {})
    return doubts(loaded, json.loads(loaded.plan))


def problems(tmp_path: Path, compose: str) -> list[str]:
    """The problems of a composed answer, without their place."""
    with pytest.raises(ConfigError) as raised:
        plan(tmp_path, compose)
    return [problem.message for problem in raised.value.problems]


ORDER = """
timeout: 2s
calls:
  order: {service: a, path: "/orders/{path.id}", on_error: pass}
  user: {service: a, path: "/users/{order.userId}", optional: true}
  products: {service: a, path: "/products/{item}", for_each: "{order.productIds}"}
  shipment: {service: a, path: "/shipments/{path.id}", optional: true, timeout: 300ms}
response: {order: "{order}", user: "{user}", products: "{products}", shipment: "{shipment}"}
"""


def test_who_needs_whom_follows_from_references(tmp_path: Path) -> None:
    made = plan(tmp_path, ORDER)
    assert [(call["name"], call["needs"]) for call in made["calls"]] == [
        ("order", []),
        ("user", [0]),
        ("products", [0]),
        ("shipment", []),
    ]
    assert made["needs"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ('path: "/x/{one.id}"', [0]),
        ('path: /x, query: {a: "{one.id}", b: "{two}"}', [0, 1]),
        ('path: /x, headers: {a: "x {two.id}"}', [1]),
        ('path: /x, method: POST, body: {a: [{b: "{one}"}]}', [0]),
        ('path: /x, method: POST, body: {$first: ["{two.x}", {$cel: one.x}]}', [0, 1]),
        ('path: "/x/{item}", for_each: "{two.ids}"', [1]),
        ('path: /x, when: {"{one.x}": "1"}', [0]),
        ("path: /x, when: one.x == 'two' && a.two == request.two", [0]),
    ],
)
def test_a_call_needs_what_it_names_anywhere(tmp_path: Path, place: str, expected: list[int]) -> None:
    made = plan(
        tmp_path,
        f"""
calls:
  one: {{service: a, path: /one}}
  two: {{service: a, path: /two}}
  three: {{service: a, {place}}}
response: ["{{one}}", "{{two}}", "{{three}}"]
""",
    )
    assert made["calls"][2]["needs"] == expected


def test_the_order_of_the_document_means_nothing(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        """
calls:
  last: {service: a, path: "/{first.id}"}
  first: {service: a, path: /first}
response: "{last}"
""",
    )
    assert [call["needs"] for call in made["calls"]] == [[1], []]


def test_the_sooner_of_two_timeouts_counts(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = document('{timeout: 5s, calls: {x: {service: a, path: /}}, response: "{x}"}')
    for own, expected in (("", 5000), ("timeout: 2s", 2000), ("timeout: 9s", 5000)):
        file.write_text(text.replace("    paths:", f"    {own}\n    paths:") if own else text)
        made = json.loads(Loader().load(file, {}).plan)["routes"][0]["action"]["compose"]
        assert made["timeout_ms"] == expected


def test_only_a_call_with_retries_of_its_own_is_called_otherwise(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        """
calls:
  own: {service: b, path: /, retries: 7}
  plain: {service: b, path: /}
response: ["{own}", "{plain}"]
""",
    )
    own, plain = (call["proxy"]["calling"] for call in made["calls"])
    assert (own["retry"]["attempts"], own["timeout_ms"], plain) == (7, 1000, None)


def test_what_a_service_says_of_calls_is_taken_anew_on_a_reload(tmp_path: Path) -> None:
    loader, file = Loader(), tmp_path / "gateway.yaml"
    text = document('{calls: {x: {service: b, path: /, retries: 7}}, response: "{x}"}')
    for timeout in ("1s", "3s"):
        file.write_text(text.replace("timeout: 1s", f"timeout: {timeout}"))
        made = json.loads(loader.load(file, {}).plan)["routes"][0]["action"]["compose"]
        assert made["calls"][0]["proxy"]["calling"]["timeout_ms"] == int(timeout[0]) * 1000


def test_the_policies_of_the_services_do_not_hold(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(document('{timeout: 1s, calls: {x: {service: b, path: /}}, response: "{x}"}'))
    loaded = Loader().load(file, {})
    names = [name for policy in json.loads(loaded.plan)["routes"][0]["policies"] for name in policy]
    assert names == ["request_id", "trace_context", "forwarded"]
    [warning] = warned(file)
    assert (warning.code, warning.line) == ("config.skipped_policies", 8)
    assert warning.message == "the policies of the service `b` do not hold here: `jwt`"
    file.write_text(
        file.read_text() + 'policies: {jwt: {issuer: i, algorithms: [RS256], jwks: "https://i.example.com/k"}}\n'
    )
    assert warned(file) == []


def test_what_a_route_references_its_paths_capture(tmp_path: Path) -> None:
    [message] = problems(tmp_path, '{calls: {x: {service: a, path: "/{path.di}"}}, response: "{x}"}')
    assert message == "not every path of this route captures `di`"


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ('{x: {service: a, path: "/{y.id}"}, y: {service: a, path: "/{x.id}"}}', "x -> y -> x"),
        ('{x: {service: a, path: "/{x.id}"}}', "x -> x"),
        ('{x: {service: a, path: "/{item}", for_each: "{x.ids}"}}', "x -> x"),
        ("{x: {service: a, path: /, fallback: y}, y: {service: a, path: /, when: x.a == 1}}", "x -> y -> x"),
    ],
)
def test_a_circle_is_told_as_it_goes_round(tmp_path: Path, calls: str, expected: str) -> None:
    assert problems(tmp_path, f'{{calls: {calls}, response: "{{x}}"}}') == [f"calls wait for each other: {expected}"]


def test_a_misspelt_name_is_told_once_and_with_the_one_that_is_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        plan(tmp_path, '{calls: {order: {service: a, path: /}}, response: "{ordr.id}"}')
    [problem] = raised.value.problems
    assert (problem.message, problem.hint) == ("no call is named `ordr`", "did you mean `{order.id}`?")


def test_an_answer_has_a_bound_of_calls(tmp_path: Path) -> None:
    def compose(size: int) -> str:
        calls = ", ".join(f"c{n}: {{service: a, path: /}}" for n in range(size))
        response = ", ".join(f'"{{c{n}}}"' for n in range(size))
        return f"{{max_calls: 99, calls: {{{calls}}}, response: [{response}]}}"

    assert len(plan(tmp_path, compose(64))["calls"]) == 64
    assert problems(tmp_path, compose(65)) == ["there are 65 calls; one answer has at most 64"]


def test_an_unquoted_reference_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        plan(tmp_path, "{calls: {order: {service: a, path: /}}, response: {o: {order}}}")
    [problem] = raised.value.problems
    assert (problem.message, problem.hint) == ("a reference stands in quotes", 'write `"{order}"`')


def test_a_value_from_the_environment_is_never_a_reference(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(document('{calls: {x: {service: a, path: "/${env:P}", query: {k: "${env:P}"}}}, response: "{x}"}'))
    loaded = Loader().load(file, {"P": "{path.id}"})
    call = json.loads(loaded.plan)["routes"][0]["action"]["compose"]["calls"][0]
    assert (call["path"], call["query"]) == ([{"text": "/{path.id}"}], [["k", [{"text": "{path.id}"}]]])
    assert "{path.id}" not in json.dumps(redacted(loaded.written()["routes"][0]["compose"]["calls"]))


@pytest.mark.parametrize(
    ("compose", "codes"),
    [
        (ORDER, []),
        ("""
timeout: 1s
calls:
  one: {service: a, path: /}
  two: {service: a, path: "/{one.id}"}
  three: {service: a, path: "/{two.id}"}
response: "{three}"
""", []),
        ("""
timeout: 1s
calls:
  one: {service: a, path: /}
  two: {service: a, path: "/{one.id}"}
  three: {service: a, path: "/{two.id}"}
  four: {service: a, path: "/{three.id}"}
response: "{four}"
""", ["long_chain"]),
        ('{calls: {x: {service: a, path: /}}, response: "{x}"}', ["no_timeout"]),
        ('{calls: {x: {service: a, path: /, timeout: 1s}}, response: "{x}"}', []),
        ("{timeout: 1s, calls: {%s}, response: [%s]}", []),
        ('{timeout: 1s, calls: {x: {service: a, path: /, method: POST, body: "{body}"}}, response: "{x}"}', []),
    ],
)  # fmt: skip
def test_what_can_hardly_be_meant_is_warned_of(tmp_path: Path, compose: str, codes: list[str]) -> None:
    file = tmp_path / "gateway.yaml"
    if "%s" not in compose:
        file.write_text(document(compose))
        assert [warning.code for warning in warned(file)] == [f"config.{code}" for code in codes]
        return
    for size, optional, expected in (
        (3, False, []),
        (4, False, ["all_required"]),
        (4, True, []),
        (20, True, ["chatty"]),
        (20, False, ["all_required", "chatty"]),
    ):
        calls = ", ".join(
            f"c{n}: {{service: a, path: /, optional: {str(optional and n == 0).lower()}}}" for n in range(size)
        )
        response = ", ".join(f'"{{c{n}}}"' for n in range(size))
        file.write_text(document(compose % (calls, response)))
        found = [warning.code.removeprefix("config.") for warning in warned(file)]
        assert found == expected


def test_a_version_that_composes_is_warned_of_once(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = (
        SERVICES
        + """\
routes:
  - name: r
    paths: [/r]
    versions:
      by: "{header.x-version}"
      default: "2"
      list:
        - {name: "1", service: a}
        - {name: "2", compose: {calls: {x: {service: a, path: /}}, response: "{x}"}}
"""
    )
    file.write_text(text)
    assert [(warning.code, warning.line) for warning in warned(file)] == [("config.no_timeout", 12)]
    file.write_text(text.replace("compose: {", "compose: {timeout: 1s, "))
    assert warned(file) == []


@pytest.mark.parametrize("timeout", ["route", "version", "compose", "nowhere"])
def test_the_timeout_of_a_version_may_stand_at_its_route(tmp_path: Path, timeout: str) -> None:
    calls = {"calls": {"x": {"service": "a", "path": "/"}}, "response": "{x}"}
    composed = {**calls, **({"timeout": "1s"} if timeout == "compose" else {})}
    version = {"name": "v1", "compose": composed, **({"timeout": "1s"} if timeout == "version" else {})}
    route = {"name": "r", "paths": ["/{v}/r"], "versions": {"by": "{path.v}", "list": [version]}}
    if timeout == "route":
        route["timeout"] = "1s"
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"services": [{"name": "a", "url": "http://a"}], "routes": [route]}))
    assert [warning.code for warning in warned(file)] == (["config.no_timeout"] if timeout == "nowhere" else [])


def test_a_body_on_a_route_for_get_only_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = document('{timeout: 1s, calls: {x: {service: a, path: /, query: {q: "{body.q}"}}}, response: "{x}"}')
    for methods, expected in (("[GET, HEAD]", ["config.no_body"]), ("[GET, POST]", []), ("[QUERY]", [])):
        file.write_text(text.replace("    paths:", f"    methods: {methods}\n    paths:"))
        assert [warning.code for warning in warned(file)] == expected


def test_a_gateway_in_python_is_the_same_document(tmp_path: Path) -> None:
    orders, users = Service(name="orders", url="http://127.0.0.1:1"), Service(name="users", url="http://127.0.0.1:2")
    compose = Compose(
        timeout="2s",
        forward_headers="accept-language",
        calls={
            "order": Call(service=orders, path="/orders/{path.id}", on_error="pass", expect=[200, "404-404"]),
            "lines": Call(service="orders", path="/lines/{item}", for_each="{order.lines}", concurrency=2, retries=0),
            "user": Call(
                service=users, path="/users/{order.user}", default=None, timeout=300, when={"{order.user}": True}
            ),
            "note": Call(service=users, method="POST", path="/notes", body={"by": "{body.by}"}, fallback="other"),
            "other": Call(service=users, path="/other", cache_for="request", optional=True, headers={"x-a": "b"}),
        },
        response={"$$id": "{order.id}", "user": {"$from": "{user}", "$without": ["x"]}, "all": ["{lines}", "{note}"]},
        views={"m": View(when="claims.staff == true", response={"$cel": "order.total * 2.0"})},
        fields=True,
        max_answer="64KiB",
    )
    routes = [Route(name="r", paths=["/r/{id}"], compose=compose, policies=Policies(jwt=_jwt()))]
    gateway = Gateway(services=[orders, users], routes=routes)
    file = tmp_path / "gateway.yaml"
    file.write_text(gateway.to_yaml())
    assert Loader().load(file, {}).plan == gateway.load().plan


def _jwt() -> Jwt:
    return Jwt(issuer="i", algorithms=["RS256"], jwks="https://i.example.com/k")


def test_mistakes_in_python_are_told_when_they_are_made() -> None:
    with pytest.raises(ConfigError, match="expected text, got `5`"):
        Call(service="a", path=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected data that JSON can hold"):
        Compose(calls={"x": Call(service="a", path="/")}, response=object())
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested more than 32 levels deep"):
        Compose(calls={"x": Call(service="a", path="/")}, response=deep)
    with pytest.raises(ConfigError, match="expected a status from 200 to 599"):
        Call(service="a", path="/", expect="2xx")
    with pytest.raises(ConfigError, match="must not be empty"):
        View(when={}, response=1)


@pytest.mark.parametrize("page", ["docs/guides/compose.md", "examples/compose/gateway.yaml"])
def test_the_schema_takes_what_the_pages_show(page: str) -> None:
    import yaml

    text = (Path(__file__).parents[2] / page).read_text()
    found = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if page.endswith(".md") else [text]
    for one in found:
        jsonschema.validate(yaml.safe_load(one), schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(document("{calls: {x: {service: a}}, response: 1}")), schema())


# ---- how it is shown

SHOWN = """
timeout: 2s
calls:
  order: {service: a, path: "/orders/{path.id}", fallback: old}
  old: {service: a, path: "/old/{path.id}"}
  lines: {service: a, path: "/lines/{item.id}/{index}", for_each: "{order.lines}"}
  user: {service: b, path: "/users/{order.user}", optional: true, when: {"{order.user}": true, "{header.x}": [a, ~b]}}
response: {order: "{order}", lines: "{lines}"}
views:
  full: {when: "claims.x == '\\"1\\"'", response: ["{order}", "{user}"]}
"""


def test_the_graph_is_shown_by_levels(tmp_path: Path) -> None:
    made = plan(tmp_path, SHOWN)
    assert [(call.level, call.name, call.request, call.notes) for call in shown_calls(made)] == [
        (0, "order", "GET a /orders/{path.id}", ("else old",)),
        (0, "old", "GET a /old/{path.id}", ("only if order fails",)),
        (1, "lines", "GET a /lines/{item.id}/{index}", ("for each {order.lines}, 8 at once", "needs order")),
        (
            1,
            "user",
            "GET b /users/{order.user}",
            ("needs order", "when {order.user} is there and {header.x} is a or ~b", "optional"),
        ),
    ]
    assert shown_answers(made) == [
        ("response", "order, lines"),
        ("view full", "order, user  when claims.x == '\"1\"'"),
    ]


def test_the_graph_is_drawn(tmp_path: Path) -> None:
    drawn = mermaid('GET /r/"1"', plan(tmp_path, SHOWN)).splitlines()
    assert drawn[:2] == ["flowchart LR", '  request(["GET /r/#quot;1#quot;"])']
    assert '  c2[["lines<br/>GET a /lines/{item.id}/{index}<br/>for each {order.lines}, 8 at once"]]' in drawn
    for edge in ("request --> c0", "c0 -. fails .-> c1", "c0 --> c2", "c0 --> answer", "c3 -.-> v0"):
        assert f"  {edge}" in drawn
    assert "  request --> c1" not in drawn


# ---- arithmetic of graphs


def test_graphs() -> None:
    edges = {0: [], 1: [0], 2: [0, 1], 3: [2], 4: []}
    assert cycle(edges, 5) is None
    assert levels(edges, 5) == [0, 1, 2, 3, 0]
    assert longest_chain(edges, 5) == [0, 1, 2, 3]
    assert reachable(edges, [2]) == {0, 1, 2}
    assert cycle({0: [1], 1: [2], 2: [1]}, 3) == [1, 2]
    assert longest_chain({}, 0) == []


def test_a_long_chain_is_no_trouble() -> None:
    edges = {number: [number - 1] for number in range(1, 2000)}
    assert cycle(edges, 2000) is None
    assert len(longest_chain(edges, 2000)) == 2000
    assert cycle({**edges, 0: [1999]}, 2000) == [0, *range(1999, 0, -1)]
