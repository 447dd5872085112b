"""A service that answers as a test tells it, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tidegate.testing.compare import MISSING, of_headers, of_json
from tidegate.testing.connection import Connection
from tidegate.testing.listening import Listening
from tidegate.testing.message import Recorded
from tidegate.testing.reply import Reply, reply
from tidegate.testing.rules import Rule, captured, nearest


class FakeService(Listening):
    """Stands in the place of a service: `orders.get("/orders/1").returns(json={"id": 1})`.

    Of several rules that take a request, the one that was made last answers. A request that none takes is answered with
    501 and listed in `unexpected`.
    """

    continues = True

    def __init__(self, name: str = "service") -> None:
        self.name = name
        self.unexpected: list[Recorded] = []
        """Requests that no rule took."""
        self._rules: list[Rule] = []
        self._otherwise: Rule | None = None
        self._deciding = threading.Lock()
        self._ended = threading.Event()
        self.hanging = 0
        """Requests that were taken, and will never be answered."""
        super().__init__()

    # ---- what it does

    def get(self, path: str, **conditions: Any) -> Rule:
        """Takes GET requests of a path, and HEAD requests where nothing else does."""
        return self.when("GET", path, **conditions)

    def post(self, path: str, **conditions: Any) -> Rule:
        """Takes POST requests of a path."""
        return self.when("POST", path, **conditions)

    def put(self, path: str, **conditions: Any) -> Rule:
        """Takes PUT requests of a path."""
        return self.when("PUT", path, **conditions)

    def patch(self, path: str, **conditions: Any) -> Rule:
        """Takes PATCH requests of a path."""
        return self.when("PATCH", path, **conditions)

    def delete(self, path: str, **conditions: Any) -> Rule:
        """Takes DELETE requests of a path."""
        return self.when("DELETE", path, **conditions)

    def any(self, path: str | None = None, **conditions: Any) -> Rule:
        """Takes requests of any method, of any path unless one is given."""
        return self.when(None, path, **conditions)

    def when(
        self,
        method: str | None,
        path: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
        json: Any = MISSING,
    ) -> Rule:
        """Takes requests with all of this, and answers 200 until it is told what.

        `{id}` in the path takes any segment, `{rest...}` at its end all that is left. Parameters of the `query`,
        `headers` (`~` begins a regular expression, `None` is no such header) and members of the `json` body that are
        not named may be there.
        """
        return self.add(Rule(method, path, query=query, headers=headers, json=json))

    def add(self, rule: Rule) -> Rule:
        """Puts a rule before those that there are."""
        with self._deciding:
            self._rules.insert(0, rule)
        return rule

    def tell_otherwise(self, rule: Rule | None) -> None:
        """What takes the requests that no rule does; `None`: nothing, they are unexpected."""
        with self._deciding:
            self._otherwise = rule

    @property
    def otherwise(self) -> Rule:
        """Takes what no other rule does: `orders.otherwise.returns(404)`; nothing is unexpected then."""
        with self._deciding:
            if self._otherwise is None:
                self._otherwise = Rule(None, None)
            return self._otherwise

    def reset(self) -> None:
        """Forgets all rules and requests."""
        with self._deciding:
            self._rules.clear()
            self._otherwise = None
            self.unexpected.clear()
        with self._changed:
            self._state.requests.clear()

    # ---- what it was asked

    def assert_asked(
        self,
        method: str,
        path: str,
        *,
        times: int | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
        json: Any = MISSING,
    ) -> Recorded:
        """Fails unless it was asked for this; returns the latest request.

        With `times`, as often; without, at least once. What is not named may be anything.
        """
        rule = Rule(method, path, query=query)
        asked = [request for request in self.requests if not rule.misfits(request)]
        if not asked or (times is not None and len(asked) != times):
            wanted = "" if times is None else f" {times}x"
            raise AssertionError(
                f"service {self.name}: expected {method} {path}{wanted}, got {len(asked)}\n{self.shown()}"
            )
        found = of_headers(asked[-1], headers or {})
        if json is not MISSING:
            found += of_json(asked[-1], json)
        if found:
            lines = "\n".join(f"  {line}" for line in found)
            raise AssertionError(f"service {self.name}: {method} {path}:\n{lines}\n{_fields(asked[-1])}")
        return asked[-1]

    def assert_not_asked(self, method: str | None = None, path: str | None = None) -> None:
        """Fails if it was asked for this; without arguments, for anything."""
        rule = Rule(method, path)
        if any(not rule.misfits(request) for request in self.requests):
            raise AssertionError(f"service {self.name}: expected not to be asked for {rule}\n{self.shown()}")

    def assert_nothing_unexpected(self) -> None:
        """Fails if there was a request that no rule took."""
        if self.unexpected:
            raise AssertionError("\n".join(self.complaints()))

    def complaints(self) -> list[str]:
        """What is to be said about requests that no rule took."""
        lines = []
        for request in list(self.unexpected):
            lines.append(f"service {self.name}: nobody expected {request}")
            if near := nearest(self._rules, request):
                lines.append(f"  nearest is {near}")
            elif not self._rules:
                lines.append(f"  it was told nothing: services[{self.name!r}].{request.method.lower()}(...)")
        return lines

    def shown(self) -> str:
        """The requests it got, as a test prints them."""
        requests = self.requests
        return "\n".join([f"  it got {len(requests)}:", *(f"    {request}" for request in requests)])

    # ---- life

    def converse(self, connection: Connection) -> None:
        """Answers the requests of a connection one after another."""
        while (request := connection.request()) is not None:
            answer = self._answer(request)
            if answer.after and self._ended.wait(answer.after):
                return None
            if answer.ending == "hang":
                self.hanging += 1
                return connection.hang()
            if answer.ending == "reset":
                return connection.reset()
            if answer.ending == "close":
                return None
            connection.send(answer.encoded(request.method))
            if any(name.lower() == "connection" and value.lower() == "close" for name, value in answer.fields):
                return None
        return None

    def _answer(self, request: Recorded) -> Reply:
        with self._deciding:
            rule = self._rule(request)
            if rule is None:
                self.unexpected.append(request)
                return reply(501, text=f"the test expected no {request}\n")
            answer = rule.take(request)
        try:
            return answer.to(request)
        except Exception as error:
            self.unexpected.append(request)
            return reply(500, text=f"the test's own answer to {request} failed: {error!r}\n")

    def _rule(self, request: Recorded) -> Rule | None:
        rules = [*self._rules, *([self._otherwise] if self._otherwise else [])]
        for rule in rules:
            if not rule.misfits(request):
                return rule
        if request.method == "HEAD":
            asked = (rule for rule in rules if rule.method == "GET")
            return next((rule for rule in asked if captured(rule.path, request.path) is not None), None)
        return None

    def stop(self) -> None:
        """Refuses new connections and ends those that are open."""
        self._ended.set()
        super().stop()

    def __repr__(self) -> str:
        return f"<FakeService {self.name} at {self.url}>"


def _fields(request: Recorded) -> str:
    head = "\n".join(f"    {name}: {value}" for name, value in request.fields)
    body = request.body[:1000].decode("utf-8", "replace")
    return f"  it got\n    {request}\n{head}" + (f"\n\n    {body}" if body else "")
