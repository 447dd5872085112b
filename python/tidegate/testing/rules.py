"""Which request of a service that is not real gets which answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tidegate.testing.compare import MISSING, of_headers, of_json
from tidegate.testing.message import Recorded, segments
from tidegate.testing.reply import Fields, Function, Reply, reply

OK = Reply()
"""What a rule says that was told nothing."""


class Rule:
    """Requests that get the same answers.

    Every answer it is told comes after those before: the first request gets the first one, and the last is given again
    and again.
    """

    def __init__(
        self,
        method: str | None,
        path: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
        json: Any = MISSING,
    ) -> None:
        """`None`: any. `{name}` in the path takes one segment, `{name...}` at its end all that is left."""
        if path is not None and not path.startswith("/"):
            raise ValueError(f"a path begins with `/`, got `{path}`")
        self.method = method
        self.path, self.query = _split(path, query)
        self.headers = dict(headers or {})
        self.json = json
        self.replies: list[Reply] = []
        self.requests: list[Recorded] = []
        """Those that it took, oldest first."""

    # ---- what it answers

    def returns(
        self,
        status: int = 200,
        *,
        json: Any = MISSING,
        text: str | None = None,
        body: bytes | None = None,
        headers: Fields | None = None,
    ) -> Rule:
        """Answers with a status, headers, and a body as `json`, `text` or `body`."""
        return self._then(reply(status, json=json, text=text, body=body, headers=headers))

    then = returns
    """The same, where it reads better: `.fails(503).then(json={})`."""

    def answers(self, function: Function) -> Rule:
        """Answers with what a function makes of the request: data, text, bytes, or a `tidegate.Response`."""
        return self._then(Reply(function=function))

    def fails(self, status: int = 500) -> Rule:
        """Answers with an error."""
        return self._then(reply(status, text="as the test says\n"))

    def hangs(self) -> Rule:
        """Takes the request and never answers. The gateway's clock need not be waited for: `gateway.advance(...)`."""
        return self._then(Reply(ending="hang"))

    def resets(self) -> Rule:
        """Takes the request and resets the connection."""
        return self._then(Reply(ending="reset"))

    def closes(self) -> Rule:
        """Takes the request and closes the connection without an answer."""
        return self._then(Reply(ending="close"))

    def slow(self, after: float) -> Rule:
        """Has the latest answer begin so many seconds late; these are waited for."""
        if not self.replies:
            self.replies.append(OK)
        self.replies[-1] = replace(self.replies[-1], after=after)
        return self

    def _then(self, answer: Reply) -> Rule:
        self.replies.append(answer)
        return self

    # ---- for the service

    def take(self, request: Recorded) -> Reply:
        """The next answer; the service calls this for one request at a time."""
        self.requests.append(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1] if self.replies else OK

    def misfits(self, request: Recorded) -> list[str]:
        """Why a request is not one of these; empty when it is."""
        found = []
        if self.method is not None and request.method != self.method:
            found.append(f"the method is {request.method}")
        if (params := captured(self.path, request.path)) is None:
            found.append("the path is another")
        for name, value in self.query.items():
            if value not in request.query.get(name, []):
                found.append(f"the query has no `{name}={value}`")
        found += of_headers(request, self.headers)
        if self.json is not MISSING:
            found += of_json(request, self.json)
        if not found and params:
            request.params = params
        return found

    def __str__(self) -> str:
        return f"{self.method or 'any method'} {self.path or 'any path'}"

    def __repr__(self) -> str:
        return f"<Rule {self}, {len(self.requests)} requests>"


def _split(path: str | None, query: Mapping[str, str] | None) -> tuple[str | None, dict[str, str]]:
    """A path may be written with its query, as it is asked for."""
    parts = dict(query or {})
    if path is not None and "?" in path:
        written = Recorded(b"", "", path, [], b"").query
        parts = {name: values[-1] for name, values in written.items()} | parts
        path = urlsplit(path).path
    return path, parts


def captured(pattern: str | None, path: str) -> dict[str, str] | None:
    """What a path has in the place of `{name}`; `None` when it is another path."""
    if pattern is None or pattern == path:
        return {}
    wanted, got = segments(pattern), segments(path)
    found: dict[str, str] = {}
    for index, segment in enumerate(wanted):
        if segment.startswith("{") and segment.endswith("...}"):
            found[segment[1:-4]] = "/".join(got[index:])
            return found
        if index >= len(got):
            return None
        if segment.startswith("{") and segment.endswith("}"):
            found[segment[1:-1]] = got[index]
        elif segment != got[index]:
            return None
    return found if len(wanted) == len(got) else None


def nearest(rules: Iterable[Rule], request: Recorded) -> str | None:
    """What the rule that almost takes a request has against it, for a message."""
    near = [(rule, rule.misfits(request)) for rule in rules]
    near = [(rule, why) for rule, why in near if len(why) == 1]
    return f"{near[0][0]}: {near[0][1][0]}" if near else None
