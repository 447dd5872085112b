"""Runs tests of a file, each against a gateway that was just started."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tidegate.config import Loaded, Problem
from tidegate.config.problem import Path as Place
from tidegate.errors import ConfigError, TidegateError
from tidegate.testing.answer import Answer
from tidegate.testing.compare import MISSING
from tidegate.testing.gateway import RunningGateway, Surroundings
from tidegate.testing.message import Recorded
from tidegate.testing.reply import Reply, reply
from tidegate.testing.rules import Rule
from tidegate.testing.suite.judge import Failure, Happened, failures, needs_line, rule_of
from tidegate.testing.suite.model import Case, Returned, Sent, Services, Step
from tidegate.testing.suite.read import SuiteFile, steps_of
from tidegate.testing.waiting import DEADLINE, eventually


@dataclass
class Outcome:
    """What became of one test."""

    file: SuiteFile
    name: str
    place: Place
    failures: list[tuple[Place, str]] = field(default_factory=list)
    """Where in the file, and what is wrong."""
    seconds: float = 0.0
    routes: set[str] = field(default_factory=set)
    """Names of the routes that took a request."""
    known: dict[str, str] = field(default_factory=dict)
    """Every route of the document, and where it stands."""

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.failures


def run(file: SuiteFile, case: Case, index: int) -> Outcome:
    """Runs one test."""
    outcome = Outcome(file, case.name, ("tests", index))
    began = time.perf_counter()
    try:
        with _Run(file) as running:
            outcome.known = running.routes()
            running.tell(file.suite.services)
            running.tell(case.services, outcome.place)
            for place, step in steps_of(case):
                for path, what in running.step(step, told=step is case):
                    outcome.failures.append(((*outcome.place, *place, *path), what))
            outcome.failures += [(outcome.place, line) for line in running.complaints()]
            outcome.routes = {str(line["route"]) for line in running.lines() if "route" in line}
    except ConfigError:
        raise
    except (TidegateError, AssertionError, OSError, HTTPException, ValueError) as error:
        outcome.failures.append((outcome.place, str(error) or repr(error)))
    outcome.seconds = time.perf_counter() - began
    return outcome


class BadTellingError(TidegateError):
    """A test tells a service that the document does not have."""


class _Run:
    """A gateway, and what happened there so far."""

    def __init__(self, file: SuiteFile) -> None:
        suite = file.suite
        environment = {**os.environ, **suite.environment}
        self._suite = suite
        self._around = Surroundings(real=suite.real, environment=environment, logs=True)
        self._gateway = RunningGateway(self._around.documents(file.document), around=self._around)
        self._asked = 0
        if problems := _problems(file, self._gateway.server.loaded):
            self._gateway.stop()
            raise ConfigError(problems)
        plan = json.loads(self._gateway.server.loaded.plan)
        self._policies = {route["name"]: frozenset(_policies(route["policies"])) for route in plan["routes"]}
        self._told: set[str] = set()

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._gateway.stop()

    def tell(self, services: Services, place: Place = ()) -> None:
        """Tells services what they do; of several rules that fit, the one that stands first counts."""
        for name, told in services.items():
            if name not in self._gateway.services:
                known = ", ".join(f"`{one}`" for one in self._gateway.services) or "none"
                raise BadTellingError(f"the document has no service named `{name}`, but {known}")
            if name not in self._told and told:
                self._told.add(name)
            for one in reversed(told):
                body = one.content if "content" in one.model_fields_set else MISSING
                rule = rule_of(one.request, one.query, one.headers, body)
                rule.replies = [_reply(returned) for returned in one.returns]
                self._gateway.services[name].add(rule)
        for name, service in self._gateway.services.items():
            # Who was told nothing answers all the same: many tests are about the gateway alone.
            service.tell_otherwise(None if name in self._told else Rule(None, None).returns(200))

    def step(self, step: Step, *, told: bool) -> Iterator[Failure]:
        """Carries out a step; what was not as expected. `told`: its services are known."""
        if step.advance is not None:
            self._gateway.advance(int(step.advance) / 1000)
        if not told:
            self.tell(step.services)
        if step.request is None:
            return
        happened = [self._ask(step.request, step.meanwhile) for _ in range(step.repeat)]
        if needs_line(step.expect):
            lines = self.lines()[-len(happened) :]
            for one, line in zip(happened, lines, strict=True):
                one.line, one.policies = line, self._policies.get(line.get("route", ""), frozenset())
        for number, one in enumerate(happened, 1):
            found = list(failures(step.expect, one))
            where = f" (request {number} of {step.repeat})" if step.repeat > 1 else ""
            yield from ((("expect", *path), f"{what}{where}") for path, what in found)
            if found:
                return

    def _ask(self, sent: Sent, meanwhile: int | str | None) -> Happened:
        before = {name: len(service.requests) for name, service in self._gateway.services.items()}
        self._asked += 1
        answer = self._send(sent) if meanwhile is None else self._send_and_wait(sent, int(meanwhile) / 1000)
        upstream: list[tuple[str, Recorded]] = [
            (name, request)
            for name, service in self._gateway.services.items()
            for request in service.requests[before.get(name, 0) :]
        ]
        return Happened(answer, upstream)

    def _send(self, sent: Sent) -> Answer:
        listeners = self._gateway.server.addresses()
        if sent.listener is not None and sent.listener not in listeners:
            raise TidegateError(f"there is no listener `{sent.listener}`, but {', '.join(listeners)}")
        given = {name.lower() for name in sent.headers}
        headers = {name: value for name, value in self._suite.headers.items() if name.lower() not in given}
        return self._gateway.request(
            sent.method,
            sent.path,
            headers=headers | sent.headers,
            query=sent.query,
            body=sent.text,
            json=sent.content if "content" in sent.model_fields_set else MISSING,
            claims=sent.claims,
            listener=sent.listener,
        )

    def _send_and_wait(self, sent: Sent, seconds: float) -> Answer:
        """Moves the clock as soon as a service that hangs has the request."""
        services = self._gateway.services.values()
        before = sum(service.hanging for service in services)
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(self._send(sent)), daemon=True)
        asking.start()
        eventually(
            lambda: answers or sum(service.hanging for service in services) > before,
            "a request to a service that hangs",
        )
        self._gateway.advance(seconds)
        asking.join(DEADLINE)
        if not answers:
            raise TidegateError(f"no answer came, although {seconds:g} s went by")
        return answers[0]

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the access log, of every request so far, in order."""
        file = self._around.access_log
        assert file is not None, "it was asked for"

        def whole() -> list[dict[str, Any]]:
            lines = file.read_text().splitlines() if file.exists() else []
            return [json.loads(line) for line in lines] if len(lines) >= self._asked else []

        return [] if self._asked == 0 else eventually(whole, "the access log")

    def routes(self) -> dict[str, str]:
        """The routes of the document by name, and where each stands."""
        loaded = self._gateway.server.loaded
        found = {}
        for index, route in enumerate(json.loads(loaded.plan)["routes"]):
            _, file, line = loaded.place(("routes", index))
            if file is not None:  # what policies need beside themselves stands nowhere
                found[str(route["name"])] = f"{file}:{line}"
        return found

    def complaints(self) -> list[str]:
        """Requests that no service was told of."""
        return self._gateway.services.complaints


def _reply(returned: Returned) -> Reply:
    if returned.ending is not None:
        return {"hangs": Reply(ending="hang"), "resets": Reply(ending="reset"), "closes": Reply(ending="close")}[
            returned.ending
        ]
    body = returned.content if "content" in returned.model_fields_set else MISSING
    answer = reply(returned.status, json=body, text=returned.text, headers=returned.headers)
    answer.after = 0.0 if returned.after is None else int(returned.after) / 1000
    return answer


def _policies(listed: list[dict[str, Any]]) -> Iterator[str]:
    """The names of policies, those inside of others too."""
    for policy in listed:
        for name, options in policy.items():
            yield name.removeprefix("early_")
            if name in ("any_of", "all_of"):
                yield from _inner(options)


def _inner(options: Any) -> Iterator[str]:
    if isinstance(options, dict):
        for name, value in options.items():
            yield name
            yield from _inner(value)
    elif isinstance(options, list):
        for value in options:
            yield from _inner(value)


def _problems(file: SuiteFile, loaded: Loaded) -> list[Problem]:
    """What is wrong with included documents; tests that stand beside one are not bothered with the others."""
    own = same(file.beside)
    included = {same(one.file) for one in loaded.included}
    broken = {same(Path(one.file)): one.problems for one in loaded.broken}
    told = [own] if own in included else list(broken)
    return [problem for one in told for problem in broken.get(one, ())]


def same(file: Path) -> str:
    """What all names of a file have in common."""
    return os.path.abspath(file)
