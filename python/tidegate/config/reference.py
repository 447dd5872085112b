"""Writes `docs/reference/configuration.md` and the options of policy pages: `python -m tidegate.config.reference`.

A test checks that they are fresh. `python -m tidegate.config.reference --check` says so without writing.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from tidegate.actions.mirror import Mirror, MirrorDiff
from tidegate.actions.redirect import Redirect
from tidegate.actions.respond import Respond
from tidegate.actions.split import Split, SplitService
from tidegate.config.base import Model
from tidegate.config.bulkhead import Adaptive, Bulkhead
from tidegate.config.calling import Backoff, Hedging, PassedDeadline, Retries, RetryBudget
from tidegate.config.canary import Canary
from tidegate.config.circuit_breaker import CircuitBreaker
from tidegate.config.compose.models import Call, Compose, View
from tidegate.config.consumers import Consumer
from tidegate.config.credentials import BasicUser, ClientCertificate
from tidegate.config.fallback import Fallback
from tidegate.config.gateway import Admin, Gateway
from tidegate.config.health import ActiveHealthCheck, HealthCheck, PassiveHealthCheck
from tidegate.config.include import Include
from tidegate.config.listeners import CertifiedKey, Http2Limits, Limits, Listener, ListenerTls
from tidegate.config.overload import Overload, OverloadMemory, PriorityRule, QueueDelay
from tidegate.config.percent import show_percent
from tidegate.config.redis import Redis
from tidegate.config.references import FIXED
from tidegate.config.resolver import Resolver
from tidegate.config.routes import MediaType, Route, Version, Versions
from tidegate.config.schema import schema, schema_of_tests
from tidegate.config.services import Pool, Service, ServiceTls
from tidegate.config.store import Store
from tidegate.config.upstream import Balance, StickyCookie, Target, Upstream
from tidegate.config.values import show_duration, show_share, show_size
from tidegate.policies import POLICIES, Policies
from tidegate.policies.authorize import Rule
from tidegate.policies.budget import Budget
from tidegate.policies.csrf import CsrfToken
from tidegate.policies.fault import FaultAbort, FaultDelay
from tidegate.policies.forward_auth import DecisionCache
from tidegate.policies.introspection import TokenCache
from tidegate.policies.jwt import TokenIssuer
from tidegate.policies.limit_charge import Count
from tidegate.policies.plugins import PluginUse
from tidegate.policies.quota import QuotaLimit
from tidegate.policies.rate_limit import Limit
from tidegate.testing.suite.model import Asked, Case, Expected, Got, Returned, Sent, Step, Suite, Told

PAGE = "docs/reference/configuration.md"
TESTS_PAGE = "docs/reference/test-files.md"
GENERATED = "<!-- Made from the models by `python -m tidegate.config.reference`. Do not edit. -->"
BEGIN = "<!-- options: made by `python -m tidegate.config.reference` -->"
END = "<!-- end of options -->"

SECTIONS: tuple[tuple[str, type[Model]], ...] = (
    ("The document", Gateway),
    ("Listener", Listener),
    ("Listener: TLS", ListenerTls),
    ("Listener: certificates", CertifiedKey),
    ("Listener: limits", Limits),
    ("Listener: HTTP/2 limits", Http2Limits),
    ("Include", Include),
    ("Consumer", Consumer),
    ("Consumer: user", BasicUser),
    ("Consumer: certificate", ClientCertificate),
    ("Store", Store),
    ("Service", Service),
    ("Service: upstream", Upstream),
    ("Service: target", Target),
    ("Service: balance", Balance),
    ("Service: balance: cookie", StickyCookie),
    ("Service: health check", HealthCheck),
    ("Service: active health check", ActiveHealthCheck),
    ("Service: passive health check", PassiveHealthCheck),
    ("Service: TLS", ServiceTls),
    ("Service: pool", Pool),
    ("Service: retries", Retries),
    ("Service: retries: backoff", Backoff),
    ("Service: retries: budget", RetryBudget),
    ("Service: hedging", Hedging),
    ("Service: deadline", PassedDeadline),
    ("Service: circuit breaker", CircuitBreaker),
    ("Service: fallback", Fallback),
    ("Service: bulkhead", Bulkhead),
    ("Service: bulkhead: adaptive", Adaptive),
    ("Route", Route),
    ("Route: versions", Versions),
    ("Route: versions: version", Version),
    ("Route: versions: media type", MediaType),
    ("Action: split", Split),
    ("Action: split: service", SplitService),
    ("Route: canary", Canary),
    ("Route: mirror", Mirror),
    ("Route: mirror: diff", MirrorDiff),
    ("Action: compose", Compose),
    ("Action: compose: call", Call),
    ("Action: compose: view", View),
    ("Action: respond", Respond),
    ("Action: redirect", Redirect),
    ("Policies", Policies),
    *((f"Policy: {name}", model) for name, model in POLICIES.items()),
    ("Policy: introspection: cache", TokenCache),
    ("Policy: forward_auth: cache", DecisionCache),
    ("Policy: csrf: token", CsrfToken),
    ("Policy: authorize: rule", Rule),
    ("Policy: jwt: issuer", TokenIssuer),
    ("Policy: rate_limit: limit", Limit),
    ("Policy: rate_limit: budget", Budget),
    ("Policy: rate_limit: count", Count),
    ("Policy: quota: limit", QuotaLimit),
    ("Policy: plugins: plugin", PluginUse),
    ("Policy: fault: delay", FaultDelay),
    ("Policy: fault: abort", FaultAbort),
    ("Overload", Overload),
    ("Overload: queue delay", QueueDelay),
    ("Overload: memory", OverloadMemory),
    ("Overload: rule", PriorityRule),
    ("Redis", Redis),
    ("Resolver", Resolver),
    ("Admin listener", Admin),
)

TESTS: tuple[tuple[str, type[Model]], ...] = (
    ("The file", Suite),
    ("Test", Case),
    ("Step", Step),
    ("Request", Sent),
    ("Expectation", Expected),
    ("Upstream request", Got),
    ("Rule of a service", Told),
    ("Request of a rule", Asked),
    ("Answer", Returned),
)
"""Of files of tests."""

CONCEPTS: dict[str, type[Model]] = {
    "docs/concepts/circuit-breaker.md": CircuitBreaker,
    "docs/concepts/fallback.md": Fallback,
    "docs/concepts/bulkheads.md": Bulkhead,
}
"""Pages beside those of policies that show options."""

_MEANINGS = {
    "consumer.name": "Name of the consumer that calls, empty while nobody is authenticated.",
    "consumer.tier": "Commercial plan of the consumer.",
    "consumer.tags": "Tags of the consumer, joined by comma.",
    "identity.subject": "Who calls, as the credential says.",
    "identity.method": "Policy that proved it: `jwt`, `api_key`, ...",
    "client.ip": "Address of the client, behind trusted proxies too.",
    "route.name": "Name of the route.",
    "service.name": "Name of the service, empty where there is none.",
    "request.id": "Id of the request.",
    "request.method": "Method.",
    "request.path": "Path in its normal form.",
    "request.query": "Query as it was sent, without the `?`.",
    "request.host": "Host, in lower case and without a port.",
    "request.scheme": "`http` or `https`.",
}

_INTRODUCTION = """\
# Configuration reference

A gateway is described in a YAML, JSON or TOML file, or in a folder of such files, whose lists are put together in the
order of
the file names. The same document in Python is typed: `Gateway(services=[Service(name=..., url=...)], routes=[...])`,
field for
field. `tidegate check FILE` tells every problem with its place; `tidegate schema` prints a JSON Schema for editors.

An unknown key, a wrong type, an unknown name or a name that is there twice is a problem. A document with problems is
never run;
on a reload the gateway goes on as it was.

```yaml
services:
  - name: orders
    url: http://127.0.0.1:9001
routes:
  - name: orders
    paths: [/orders]
    service: orders
    strip_path: false
```

A document in Kong's declarative format (`_format_version`, routes inside of services, `protocol`, `host`, `port` and
`path`
instead of `url`) loads as it is, apart from Kong's plugins and the keys that have no counterpart; for those a hint
says what to
write instead.

## Values

**YAML** is read as YAML 1.2 means it: `no`, `on` and `off` are text, truth values are `true` and `false`, `1:30` is
text. Anchors,
aliases and `<<` work. A key that is there twice is a problem.

**Duration**: `300ms`, `2s`, `5m`, `1h`, `1d`. A bare number is milliseconds, as in Kong.

**Size**: `512KiB`, `10MiB`, `1GiB`, `64KB`, `1MB`. A bare number is bytes.

**From elsewhere**: `${env:NAME}` is the value of an environment variable, `${env:NAME:-default}` with a default for
one that is
missing or empty, `${file:path}` the text of a file without the line break at its end, relative to the document. They
may stand
anywhere inside of a text, and alone also for numbers and truth values. What they bring is a secret: it is never shown
in a
message, and `/config` shows the reference. `$${...}` stands for `${...}` itself.

**File names** are relative to the document that holds them.

## References

Texts that are sent somewhere may name parts of the request: `rewrite`, `location`, `body`, values of headers. `{{`
and `}}` stand
for braces. A name that does not exist is a problem. In [`compose`](#action-compose) they also name calls:
[one answer of many calls](../guides/compose.md#references).
The place it goes to decides how a value is written, so that no value can
become more than a value: a header never gains a line, a path never a segment, a JSON body never a member.

| Reference | Value |
|---|---|
| `{path.NAME}` | What the route's path captured as `NAME`; every path of the route has to capture it. |
| `{query.NAME}` | First value of a query parameter, decoded. |
| `{header.NAME}` | Value of a request header. |
| `{cookie.NAME}` | Value of a cookie. |
"""

_PATHS = """
## Paths of routes

| Pattern | Takes |
|---|---|
| `/orders` | `/orders` and everything below it, by whole segments: not `/orders-old`. |
| `/orders/` | Everything below `/orders/`. |
| `=/orders` | `/orders` and nothing else. |
| `/orders/{id}` | One segment, captured as `id`, and everything below. |
| `/files/{rest...}` | All that is left, perhaps nothing; last only. |
| `~/orders/(?<id>\\d+)$` | A regular expression on the normal form, anchored at its start; named groups are captures. |

Patterns are put into the normal form that paths of requests are put into, too: see
[the normal form of paths](../concepts/path-normal-form.md).
"""


_TESTS_INTRODUCTION = """\
# Files of tests

What `tidegate test` runs: requests to a gateway, and what is to become of them. They stand beside the document, the
tests of `gateway.yaml` in `gateway.test.yaml`; [the guide](../guides/testing.md) shows how they are written. The file
is YAML, JSON or TOML, with the same [values](configuration.md#values) as a document, but nothing is filled in for
`${env:NAME}`. `tidegate schema --tests` prints a JSON Schema for editors.
"""


def page() -> str:
    """The whole page."""
    parts = [GENERATED, "", _INTRODUCTION.rstrip()]
    parts += [f"| `{{{name}}}` | {_MEANINGS[name]} |" for name in FIXED]
    parts.append(_PATHS.rstrip())
    definitions = schema()
    for title, model in SECTIONS:
        parts += ["", f"## {title}", "", *_section(model, definitions)]
    return "\n".join(parts) + "\n"


def tests_page() -> str:
    """The page on files of tests."""
    parts = [GENERATED, "", _TESTS_INTRODUCTION.rstrip()]
    for title, model in TESTS:
        parts += ["", f"## {title}", "", *_section(model, schema_of_tests())]
    return "\n".join(parts) + "\n"


def options_table(model: type[Model]) -> str:
    """The options of a model, for its own page."""
    # The sections of nested models are on the page of the whole reference.
    return "\n".join(_table(model, schema())).replace("](#", "](../reference/configuration.md#")


def _section(model: type[Model], definitions: dict[str, Any]) -> list[str]:
    text = inspect.cleandoc(model.__doc__ or "").partition("\n\n```")[0]
    return [*text.splitlines(), "", *_table(model, definitions)]


def _table(model: type[Model], definitions: dict[str, Any]) -> list[str]:
    if not model.model_fields:
        return ["It has no options."]
    known = definitions if model in (Gateway, Suite) else definitions["$defs"][model.__name__]
    rows = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        kind = _type(known["properties"][key])
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True), kind)
        rows.append(f"| `{key}` | {_cell(kind)} | {default} | {_cell(field.description or '')} |")
    return rows


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_TITLES = {Model.__name__: ""} | {model.__name__: title for title, model in (*SECTIONS, *TESTS)}


def _type(value: dict[str, Any]) -> str:
    """A type in words, from its schema."""
    if title := value.get("title"):
        return str(title)
    if reference := value.get("$ref"):
        title = _TITLES[reference.rpartition("/")[2]]
        anchor = title.lower().replace(":", "").replace("/", "").replace(" ", "-")
        return f"[{title.lower()}](#{anchor})"
    if "const" in value:
        return f"`{_word(value['const'])}`"
    if "enum" in value:
        return ", ".join(dict.fromkeys(f"`{_word(entry)}`" for entry in value["enum"]))
    if "oneOf" in value:
        value = {"anyOf": value["oneOf"]}
    if "anyOf" in value:
        if value["anyOf"][-1].get("enum", [""])[0] == "off":
            return f"{_type(value['anyOf'][0])} or `off`"
        kinds = [_type(option) for option in value["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}"
    if value.get("type") == "object":
        inner = value["additionalProperties"]
        return f"mapping of name to {'any data' if inner is True else _type(inner)}"
    if value.get("pattern", "").startswith("\\$"):
        return ""
    words = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "null": ""}
    return words.get(value.get("type", ""), "any data")


def _word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _default(value: object, kind: str) -> str:
    if value is PydanticUndefined or value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, list) and kind == "list of percentage":
        return ", ".join(f"`{show_percent(entry)}`" for entry in value)
    if isinstance(value, bool):
        return f"`{_word(value)}`"
    if isinstance(value, int) and kind == "duration":
        return f"`{show_duration(value)}`"
    if isinstance(value, int) and kind == "percentage":
        return f"`{show_percent(value)}`"
    if isinstance(value, int) and kind == "share":
        return f"`{show_share(value)}`"
    if isinstance(value, int) and kind == "size":
        return f"`{show_size(value)}`"
    if isinstance(value, Model) or (isinstance(value, list) and value and isinstance(value[0], Model)):
        return "its defaults"
    return f"`{value}`"


def pages(root: Path) -> dict[Path, str]:
    """Every page with generated parts, as it has to be."""
    out = {root / PAGE: page(), root / TESTS_PAGE: tests_page()}
    of_policies = {f"docs/policies/{name}.md": model for name, model in POLICIES.items()}
    for name, model in {**of_policies, **CONCEPTS}.items():
        file = root / name
        text = file.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        out[file] = f"{before}{BEGIN}\n\n{options_table(model)}\n\n{END}{after}"
    return out


def main(arguments: list[str]) -> int:
    """Writes the pages, or with `--check` says whether they are fresh."""
    stale = [(file, text) for file, text in pages(Path()).items() if not file.exists() or file.read_text() != text]
    for file, text in stale:
        if arguments == ["--check"]:
            print(f"{file} is not fresh; run `python -m tidegate.config.reference`", file=sys.stderr)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
