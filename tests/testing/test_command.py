"""`tidegate test`: tests as data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from tidegate import load
from tidegate.cli import main
from tidegate.config.schema import schema_of_tests
from tidegate.config.sources import yaml_source

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"

DOCUMENT = """\
services:
  - {name: orders, url: "https://orders.internal/base", read_timeout: 3s, retries: 0}
  - {name: users, url: "http://users.internal"}
routes:
  - {name: orders, paths: [/orders], service: orders, strip_path: false, policies: {rate_limit: {limit: 2, window: 1m}}}
  - {name: users, paths: [/users], service: users, policies: {ip: {deny: [127.0.0.1]}}}
  - {name: hello, paths: [/hello], respond: {body: "hi ${env:WHO}"}}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs tests beside the document."""
    (tmp_path / "gateway.yaml").write_text(DOCUMENT)

    def begin(tests: str, *arguments: str) -> tuple[int, str, str]:
        file = tmp_path / "gateway.test.yaml"
        file.write_text(f"environment: {{WHO: you}}\n{tests}")
        code = main(["test", str(tmp_path / "gateway.yaml"), *arguments])
        out, err = capsys.readouterr()
        return code, re.sub(r"\(\d+ ms\)", "(ms)", out).replace(f"{tmp_path}/", ""), err.replace(f"{tmp_path}/", "")

    return begin


def test_what_is_as_expected_passes(run: Run) -> None:
    code, out, _ = run("""\
services:
  orders: [{request: "GET /base/orders/{id}", returns: {json: {id: 1, lines: [a]}}}]
headers: {x-tenant: shop}
tests:
  - name: an order
    request: GET /orders/1
    expect:
      {route: orders, status: 200, allowed: true, json: {lines: [a]}, headers: {content-type: ~json, server: null},
       upstream: [{service: orders, request: GET /base/orders/1, headers: {x-tenant: shop}}]}
  - name: a limit
    steps:
      - {request: /orders/1, repeat: 2, expect: {status: 200}}
      - {request: /orders/1, expect: {refused_by: rate_limit, code: rate_limited, upstream: []}}
      - {advance: 3m, request: /orders/1, expect: {allowed: true}}
  - {name: an address, request: /users, expect: {refused_by: ip, route: users, status: 403}}
  - {name: nobody's, request: /nowhere, expect: {route: null, code: no_route}}
  - {name: a word, request: {path: /hello, method: POST, json: {a: 1}}, expect: {text: hi you}}
""")
    assert code == 0, out
    assert out == (
        "gateway.test.yaml\n  ok      an order  (ms)\n  ok      a limit  (ms)\n  ok      an address  (ms)\n"
        "  ok      nobody's  (ms)\n  ok      a word  (ms)\n5 tests: 5 passed\n"
        "gateway.yaml: 3 of 3 routes reached (100 %)\n"
    )


def test_what_differs_has_file_and_line(run: Run) -> None:
    code, out, _ = run("""\
services:
  orders: [{request: "*", returns: {json: {id: 1}}}]
tests:
  - name: wrong
    request: GET /orders/1
    expect:
      status: 201
      route: users
      exactly: true
      json:
        id: 2
      headers:
        x-a: b
      refused_by: ip
      upstream:
        - service: orders
          request: GET /base/orders/1
          headers: {x-tenant: shop}
        - {service: users, request: GET /1}
""")
    assert code == 1
    assert [line for line in out.splitlines() if "tests[0]" in line] == [
        "gateway.test.yaml:8  tests[0].expect.status: expected 201, got 200",
        "gateway.test.yaml:9  tests[0].expect.route: expected `users`, got `orders`",
        "gateway.test.yaml:15  tests[0].expect.refused_by: expected `ip`, got no refusal",
        "gateway.test.yaml:14  tests[0].expect.headers.x-a: expected the header `x-a: b`, got none",
        "gateway.test.yaml:12  tests[0].expect.json.id: expected 2, got 1",
        "gateway.test.yaml:19  tests[0].expect.upstream[0].headers.x-tenant: "
        "expected the header `x-tenant: shop`, got none",
        "gateway.test.yaml:20  tests[0].expect.upstream[1]: expected users: GET /1, got orders: GET /base/orders/1",
    ]
    assert "  FAILED  wrong  (ms)" in out
    assert "1 test: 0 passed, 1 failed" in out
    assert "  gateway.yaml:6  `users` was not reached" in out


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("request: /orders/1\n    expect: {upstream: []}", "expected no orders: GET /base/orders/1"),
        ("request: /orders/1\n    repeat: 3\n    expect: {status: 200}", "got 429 (rate_limited) (request 3 of 3)"),
        ("request: /users\n    expect: {allowed: true}", "expected true, got `address_denied`"),
        ("services: {order: [{request: /}]}\n    request: /orders", "the document has no service named `order`, but "),
        (
            "services: {orders: [{request: /x}]}\n    request: /orders",
            "service orders: nobody expected GET /base/orders",
        ),
        ("request: {path: /hello, listener: other}", "there is no listener `other`"),
    ],
)
def test_what_is_said_when_it_differs(run: Run, step: str, message: str) -> None:
    code, out, _ = run(f"tests:\n  - name: wrong\n    {step}\n")
    assert code == 1
    assert message in out


@pytest.mark.parametrize("how", ["hangs", "resets", "closes"])
def test_services_may_misbehave(run: Run, how: str) -> None:
    meanwhile = "\n    meanwhile: 4s" if how == "hangs" else ""
    tests = f"services: {{orders: [{{request: /base/orders, returns: {how}}}]}}\n"
    code, out, _ = run(f"{tests}tests:\n  - name: a\n    request: /orders{meanwhile}\n    expect: {{status: ~}}\n")
    assert code == 0, out


def test_answers_come_one_after_another(run: Run) -> None:
    code, out, _ = run("""\
services: {orders: [{request: /base/orders, returns: [503, {text: better, after: 1ms}]}]}
tests:
  - name: a
    steps: [{request: /orders, expect: {status: 503, allowed: true}}, {request: /orders, expect: {text: better}}]
""")
    assert code == 0, out


def test_problems_of_the_file_are_told_as_those_of_a_document(run: Run) -> None:
    code, _, err = run("""\
tests:
  - {name: a, request: get a, expect: {statu: 200}}
  - {name: b}
  - {name: b, request: /, steps: [{expect: {}}]}
  - {name: c, request: /, expect: {allowed: true, code: no_route}}
""")
    assert code == 1
    assert "gateway.test.yaml:3  tests[0].request: expected a request such as `GET /orders/1`, got `get a`" in err
    assert "tests[0].expect.statu: unknown key `statu`  [config.unknown_key]\n  hint: did you mean `status`?" in err
    _, _, err = run("""\
tests:
  - {name: a, request: {path: orders}, expect: {headers: {x: "~("}, json: {b: ["~("]}, text: "~("}}
  - {name: b, request: /, services: {a: [{request: {path: " ", method: "G T"}, returns: hang}]}, expect: {json: ["~("]}}
""")
    assert [line.partition("  ")[2] for line in err.splitlines() if "test.yaml" in line] == [
        "tests[0].expect.headers.x: `(` is not a regular expression: missing ), unterminated subpattern"
        "  [config.bad_value]",
        "tests[0].expect.text: `(` is not a regular expression: missing ), unterminated subpattern  [config.bad_value]",
        "tests[0].request.path: expected a path such as `/orders/1`, got `orders`  [config.bad_value]",
        "tests[1].services.a[0].request.method: expected a method such as `GET`, got `G T`  [config.bad_value]",
        "tests[1].services.a[0].request.path: expected a path such as `/orders/1`, got ` `  [config.bad_value]",
        "tests[1].services.a[0].returns: expected a status, a mapping or one of `hangs`, `resets`, `closes`, got `hang`"
        "  [config.bad_value]",
    ]
    _, _, err = run("tests: [{name: b, request: /, expect: {json: {a: ['~(']}}}]\n")
    assert "tests[0].expect.json.a[0]: `(` is not a regular expression" in err
    code, _, err = run("tests:\n  - {name: b}\n  - {name: b, request: /, steps: [{expect: {}}]}\n")
    assert [line.partition("  ")[2] for line in err.splitlines() if "test.yaml" in line] == [
        "tests[0]: `request` is missing  [config.missing]",
        "tests[1].name: a test named `b` is already there, the 1. of the list  [config.duplicate_name]",
        "tests[1].request: `request` and `steps` exclude each other  [config.bad_value]",
        "tests[1].steps[0]: `request` is missing  [config.missing]",
        "tests[1].steps[0].expect: there is no request to expect something of  [config.bad_value]",
    ]


def test_problems_of_the_document_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("routes: [{name: a, service: b}]\n")
    code, _, err = run("tests: [{name: a, request: /}]\n")
    assert code == 1
    assert "gateway.yaml:1  routes[0].service: no service is named `b`" in err


def test_too_few_routes_fail(run: Run) -> None:
    tests = "tests: [{name: a, request: /hello}]\n"
    assert run(tests, "--fail-under", "33")[0] == 0
    code, _, err = run(tests, "--fail-under", "34")
    assert code == 1
    assert "gateway.yaml: 33 % of the routes reached, less than 34 %" in err
    assert run(tests, "--fail-under", "101")[0] == 2


def test_only_some_tests(run: Run) -> None:
    tests = "tests: [{name: one, request: /hello}, {name: two, request: /hello, expect: {status: 500}}]\n"
    assert run(tests, "-k", "one")[0] == 0
    assert run(tests, "-k", "three")[0] == 2


def test_the_outcome_is_written_for_machines(run: Run, tmp_path: Path) -> None:
    tests = "tests: [{name: one, request: /hello}, {name: two, request: /hello, expect: {status: 500}}]\n"
    run(tests, "--junit", str(tmp_path / "out.xml"))
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite[1].find("failure")
    assert failure is not None
    assert "gateway.test.yaml:2  tests[1].expect.status: expected 500, got 200" in (failure.text or "")


def test_a_folder_has_all_tests_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text("routes: [{name: a, respond: {}}]\n")
        (tmp_path / name / "gateway.test.yaml").write_text("tests: [{name: a, request: /}]\n")
    assert main(["test", str(tmp_path)]) == 0
    assert "2 tests: 2 passed" in capsys.readouterr().out
    assert main(["test", str(tmp_path / "a" / "gateway.yaml")]) == 0
    (tmp_path / "b" / "gateway.test.yaml").unlink()
    assert main(["test", str(tmp_path / "b" / "gateway.yaml")]) == 1
    assert "write its tests beside it, into `gateway.test.yaml`" in capsys.readouterr().err


def test_tests_are_no_part_of_a_folder_that_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("routes: [{name: a, respond: {}}]\n")
    (tmp_path / "gateway.test.yaml").write_text("tests: [{name: a, request: /}]\n")
    assert len(json.loads(load(tmp_path).plan)["routes"]) == 1


def test_the_tests_of_the_guide_pass_as_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, tests = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[-2:]
    (tmp_path / "gateway.yaml").write_text(document)
    (tmp_path / "gateway.test.yaml").write_text(tests)
    assert main(["test", str(tmp_path / "gateway.yaml")]) == 0
    said = re.search(r"^\$ tidegate test gateway.yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert said is not None
    out = capsys.readouterr().out.replace(f"{tmp_path}/", "")
    assert re.sub(r"\d+ ms", "ms", out) == re.sub(r"\d+ ms", "ms", said[1])
    jsonschema.validate(yaml_source.read(tests).value, schema_of_tests())
