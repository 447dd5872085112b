"""Real gateways, in this process, on ports of the system's choice: those of `tidegate.testing`, with real services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from tidegate import Gateway
from tidegate.serve.source import Documents
from tidegate.testing import Answer, RunningGateway, Services
from tidegate.testing.client import ask
from tidegate.testing.gateway import Surroundings

__all__ = ["Answer", "Document", "RunningGateway", "ask", "serving", "start"]

Document: TypeAlias = Gateway | Mapping[str, Any] | str | Path


class _AsWritten(Surroundings):
    """Nothing is put in the place of anything: what a test of the gateway itself writes, it means."""

    def __init__(self, folder: Path) -> None:
        self.services = Services(())
        self._folder = folder

    def documents(self, document: Document) -> Documents:
        """A mapping or a text gets no access log unless it says so."""
        if isinstance(document, Gateway | Path):
            return Documents(document, any_port=True)
        if isinstance(document, Mapping):
            document = yaml.safe_dump({"access_log": "off", **document}, sort_keys=False)
        elif "access_log" not in document:
            document += "\naccess_log: off\n"
        path = self._folder / "gateway.yaml"
        path.write_text(document)
        return Documents(path, any_port=True)

    def stop(self) -> None:
        """The folder is the test's."""


def start(document: Document, folder: Path, workers: int = 1) -> RunningGateway:
    """Starts a gateway from a mapping, YAML text, a file or a `Gateway`.

    Without `listeners` it gets a port from the system; without `access_log`, none is written.
    """
    around = _AsWritten(folder)
    return RunningGateway(around.documents(document), workers=workers, around=around)


@contextmanager
def serving(gateway: Gateway) -> Iterator[RunningGateway]:
    """A gateway while the block runs, for fixtures that several tests share."""
    running = start(gateway.model_copy(update={"access_log": "off"}), Path())
    try:
        yield running
    finally:
        running.stop()
