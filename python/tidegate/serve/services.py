"""The services of a running gateway, whose targets can be changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tidegate.config.check import Check
from tidegate.config.problem import Problem, render_path
from tidegate.config.translate import translate
from tidegate.config.upstream import Target, plan_targets, spelled_out
from tidegate.errors import ConfigError

if TYPE_CHECKING:
    from tidegate.serve.server import Server


class RunningService:
    """A service of a running gateway."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.name = name

    @property
    def targets(self) -> list[Target]:
        """The targets that the service has at present, as they are written: a name is one of them."""
        _, targets = self._server.targets(self.name)
        return targets

    @targets.setter
    def targets(self, targets: Iterable[Target | str | Mapping[str, Any]]) -> None:
        """Puts others in place of them, at once and without a reload; `ConfigError` means that nothing has changed.

        Targets that stay keep their connections and what is known of their health. Those that go finish what is under
        way to them. What is set here stays until it is set again, `reset`, or until a reload whose document says
        something else of the targets of this service than the one before.
        """
        tls, _ = self._server.targets(self.name)
        self._server.set_targets(self.name, planned(self.name, targets, tls))

    def reset(self) -> None:
        """Puts the targets of the document back."""
        self._server.set_targets(self.name, None)

    def __repr__(self) -> str:
        return f"RunningService({self.name!r})"


class RunningServices(Mapping[str, RunningService]):
    """The services of a running gateway, by name: `running.services["orders"].targets = ["10.0.0.7:8080"]`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __getitem__(self, name: str) -> RunningService:
        if name not in self._server.services():
            raise KeyError(name)
        return RunningService(self._server, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._server.services())

    def __len__(self) -> int:
        return len(self._server.services())


def planned(service: str, targets: Iterable[Target | str | Mapping[str, Any]], tls: bool) -> list[dict[str, Any]]:
    """Targets as the engine takes them; raises `ConfigError` with every problem."""
    check = Check()
    models = []
    for index, target in enumerate(targets):
        try:
            models.append(target if isinstance(target, Target) else Target.model_validate(spelled_out(target)))
        except ValidationError as error:
            found = translate(Target, error)
            check.findings += [finding._replace(path=("targets", index, *finding.path)) for finding in found]
    if not check.findings:
        plan = plan_targets(models, 443 if tls else 80, check, ())
    if check.findings:
        title = f"services[{service!r}]."
        raise ConfigError(
            Problem(finding.code, finding.message, title + render_path(finding.path), hint=finding.hint)
            for finding in check.findings
        )
    return plan
