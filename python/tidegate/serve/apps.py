"""Applications start before the document that names them serves, and end once it no longer does."""

from __future__ import annotations

from tidegate.config import Loaded, Problem
from tidegate.errors import ConfigError
from tidegate.extend.runner import Runner


class ServedApps:
    """The handlers of the running document, of which some are applications with lives of their own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._numbers: list[int] = []

    def begin(self, loaded: Loaded) -> list[int]:
        """The number of each handler of a document, all of whose applications have started; raises `ConfigError`."""
        numbers = self._runner.handlers.numbers(loaded.handlers)
        if failures := self._runner.apps.start(numbers):
            self.go_back()
            raise ConfigError(
                Problem("config.app_failed", f"the app `{reference.name}` did not start: {reason}", path, file, line)
                for reference, number in zip(loaded.handlers, numbers, strict=True)
                if (reason := failures.get(number)) is not None
                for path, file, line in reference.places or (("", None, None),)
            )
        return numbers

    def go_on(self, numbers: list[int], patience: float) -> None:
        """That document serves: applications that it does not have end, once their requests are over."""
        self._numbers = numbers
        self._runner.apps.keep(numbers, patience)

    def go_back(self) -> None:
        """It does not: what was started for it ends."""
        self._runner.apps.keep(self._numbers, 0)

    def rest(self, patience: float) -> bool:
        """Waits until no application has anything to do, such as work after an answer."""
        return self._runner.apps.rest(patience)

    def go_away(self) -> None:
        """The gateway drains: WebSockets are closed."""
        self._runner.apps.go_away()

    def stop(self) -> None:
        """Ends all of them."""
        self._runner.apps.stop()
