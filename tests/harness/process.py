"""A gateway in a process of its own, as `tidegate run` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.harness.gateway import Answer, ask
from tests.harness.poll import DEADLINE, eventually
from tests.harness.raw import Raw

_LISTENS = re.compile(r"^  (https?)://([^ ]+):(\d+)(?:  (.*))?$", re.MULTILINE)


class GatewayProcess:
    """`tidegate run FILE`, and what it says on stderr.

    `command` stands before the file: with nothing there it is a program of its own that runs a gateway.
    """

    def __init__(
        self,
        document: Path,
        *arguments: str,
        command: tuple[str, ...] = ("-m", "tidegate", "run"),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command, str(document), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._lines: list[str] = []
        self._output: list[str] = []
        streams = [(self.process.stderr, self._lines), (self.process.stdout, self._output)]
        self._readers = [threading.Thread(target=_collect, args=pair, daemon=True) for pair in streams]
        for reader in self._readers:
            reader.start()

    @property
    def log(self) -> str:
        """All of stderr so far."""
        return "".join(self._lines)

    @property
    def output(self) -> str:
        """All of stdout so far."""
        return "".join(self._output)

    def listening(self) -> dict[str, tuple[str, int]]:
        """Waits until it is up; host and port of each listener by name, `admin` among them."""

        def found() -> dict[str, tuple[str, int]]:
            assert self.process.poll() is None, f"it ended: {self.log}"
            assert "ready in" in self.log
            return {name or f"{host}:{port}": (host, int(port)) for _, host, port, name in _LISTENS.findall(self.log)}

        return eventually(found, "the gateway process")

    def address(self) -> tuple[str, int]:
        """Host and port of the first listener, once it is up."""
        return next(iter(self.listening().values()))

    def get(self, path: str, listener: str | None = None) -> Answer:
        """A GET on a connection of its own."""
        return ask(self._named(listener) if listener else self.address(), "GET", path)

    def _named(self, listener: str) -> tuple[str, int]:
        # The lines of the block arrive one after another.
        eventually(lambda: listener in self.listening(), f"the listener {listener}")
        return self.listening()[listener]

    def raw(self) -> Raw:
        """A connection for bytes by hand."""
        return Raw(self.address())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Waits until stderr has `text` that many times."""
        eventually(lambda: self.log.count(text) >= count, f"{text!r} in the log ({self.log})")

    def wait(self) -> int:
        """Waits for the end; the exit code."""
        code = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return code

    def stop(self) -> None:
        """Ends it, however it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _collect(stream: object, lines: list[str]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        lines.append(line)
