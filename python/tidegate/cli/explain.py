"""Says which route takes a request, and what its service would get.

It tells why that route does, and why the near ones do not. The URL may be whole, such as
`https://shop.example.com/orders?page=2`, or a path, which is then asked of the host given by `-H host:...` or of
`localhost`.
Of a route with `compose` it shows the calls, which `--mermaid` draws. Nothing is sent anywhere.
The exit code is 1 when no route takes the request.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from tidegate.cli import engine, report
from tidegate.config import Loaded
from tidegate.config.check import TOKEN
from tidegate.config.compose.shown import mermaid, shown_answers, shown_calls
from tidegate.config.load import check
from tidegate.config.problem import count, without_secrets
from tidegate.config.values import show_duration
from tidegate.errors import UsageError

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="a YAML, JSON or TOML file, or a folder of them")
    parser.add_argument("method", metavar="METHOD", help="such as GET")
    parser.add_argument("url", metavar="URL", help="a URL or a path")
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="NAME:VALUE", help="a header of the request"
    )
    parser.add_argument(
        "--client", default="127.0.0.1", metavar="IP", help="address of the client, or `unix:` (127.0.0.1)"
    )
    parser.add_argument(
        "--mermaid", action="store_true", help="print the calls of a `compose` route as a Mermaid flowchart"
    )
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Carries the command out."""
    headers = [_header(text) for text in arguments.header]
    if not TOKEN.fullmatch(arguments.method):
        raise UsageError(f"`{arguments.method}` is not a method")
    if (meant := arguments.method.upper()) != arguments.method and meant in _METHODS:
        report.note(f"hint: methods are told apart by case: `{arguments.method}` is not `{meant}`")
    loaded = check(arguments.file)
    explained = engine.explain(loaded, arguments.method, arguments.url, headers, arguments.client)
    winner = explained["winner"]
    compose = None if winner is None else engine.composed(loaded, winner["route"])
    if arguments.mermaid:
        return _mermaid(f"{arguments.method} {arguments.url}", compose, loaded)
    if arguments.json:
        calls = {} if compose is None else {"calls": [asdict(call) for call in shown_calls(compose)]}
        report.data_json({**explained, **calls})
    else:
        graph = [] if compose is None else _graph(compose)
        report.data("\n".join(_lines(explained, engine.actions(loaded), graph)))
    return 0 if explained["outcome"] == "route" else 1


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not TOKEN.fullmatch(name.strip()):
        raise UsageError(f"`-H` takes `name: value`, got `{text}`")
    return name.strip(), value.strip()


def _mermaid(title: str, compose: dict[str, Any] | None, loaded: Loaded) -> int:
    if compose is None:
        report.note("no route with `compose` takes the request, so there is no graph")
        return 1
    report.data(without_secrets(mermaid(title, compose), loaded.secrets))  # such charts go into pages
    return 0


def _graph(compose: dict[str, Any]) -> list[str]:
    """The calls by the level at which they begin, and what each shape of the answer takes."""
    calls = shown_calls(compose)
    wide = max(len(call.name) for call in calls)
    out = ["", f"calls, within {show_duration(compose['timeout_ms'])}"]
    level = -1
    for call in calls:
        number = "" if call.level == level else str(call.level + 1)
        level = call.level
        notes = f"  ({'; '.join(call.notes)})" if call.notes else ""
        out.append(f"  {number:2} {call.name:{wide}}  {call.request}{notes}")
    answers = shown_answers(compose)
    wide = max(len(name) for name, _ in answers)
    return [*out, "", "answers", *(f"  {name:{wide}}  {needs}" for name, needs in answers)]


def _lines(explained: engine.Explanation, actions: list[str], graph: list[str]) -> list[str]:
    out = []
    winner = explained["winner"]
    if winner is not None:
        out.append(f"route {winner['name']}")
        out += [f"  {reason}" for reason in winner["because"]]
        out += [f"  {name} = {value}" for name, value in winner["captures"]]
        out.append(f"  answered by {actions[winner['route']]}")
        if explained["reason"]:
            out.append(f"  but refused: {explained['reason']}")
    elif explained["outcome"] == "method_not_allowed":
        out.append(f"405: a route has the path, but not the method; allowed: {explained['allow']}")
    elif explained["outcome"] == "refused":
        out.append(f"400: {explained['reason'] or 'the request is refused'}")
    else:
        out.append("404: no route takes the request")
    if sent := explained["upstream"]:
        out += ["", "sent to the service", f"  {sent['method']} {sent['url']}"]
        out += [f"  {name}: {value}" for name, value in sent["headers"]]
    out += graph
    if composed := explained["composed"]:
        answer = "the response" if composed["view"] is None else f"the view {composed['view']}"
        out += ["", f"this request gets {answer}, of {', '.join(composed['calls']) or 'no call'}"]
    if explained["losers"]:
        out += ["", "near, but not taken"]
        for loser in explained["losers"]:
            reasons = "; ".join(reason["text"] for reason in loser["reasons"])
            out.append(f"  {loser['name']}: {reasons}")
    if explained["more_losers"]:
        out.append(f"  and {count(explained['more_losers'], 'more route')}")
    return out
