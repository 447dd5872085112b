"""What a contestant must be able to say."""

import re
import subprocess
from pathlib import Path
from typing import Protocol

from benchmarks.workload import Launch, Site, Workload


class Peer(Protocol):
    """A gateway or server that can be asked to do a workload."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """What must be installed before it can run, or nothing."""

    def version(self) -> str: ...

    def launch(self, workload: Workload, site: Site) -> Launch:
        """Writes the configuration into the site's folder and says how to start with it."""


def ask_version(arguments: list[str | Path], pattern: str) -> str:
    """The part of what a command prints that matches `pattern`'s group."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "unknown"
