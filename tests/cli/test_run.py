"""`tidegate run`, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCUMENT = """\
listeners: [{address: "127.0.0.1:0"}]
admin: off
access_log: off
routes:
  - {name: a, paths: [/a], respond: {body: one}}
  - {name: b, paths: [/a], respond: {body: two}}
"""


class Running:
    """The process, and what it says on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until(self, text: str) -> list[str]:
        """The lines up to the one that has the text; the end of the process is an error."""
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line.rstrip("\n"))
            if text in line:
                return lines
        raise AssertionError(f"`{text}` was never said: {lines}")


@contextmanager
def running(*arguments: str | Path) -> Iterator[Running]:
    command = [sys.executable, "-m", "tidegate", "run", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def test_it_warns_of_routes_that_can_never_match_and_leaves_with_0(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT)
    with running(file) as gateway:
        said = gateway.until("config.unreachable_route")
        assert said[-1].startswith(f"warning: {file}:6  routes[1]: this route can never match; `a` before it")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=20) == 0


def test_it_warns_of_a_document_without_routes(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT.partition("routes:")[0])
    with running(file) as gateway:
        said = gateway.until("config.no_routes")
        assert said[-1] == (
            f"warning: {file}  there are no routes: every request is answered with 404  [config.no_routes]"
        )


def test_a_reload_warns_too(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT.partition("  - {name: b")[0])
    with running(file, "--watch") as gateway:
        gateway.until("  http://")
        file.write_text(DOCUMENT)
        gateway.until("reloaded")
        gateway.until("the document has warnings count=1")
        gateway.until(f"{file}:6  routes[1]: this route can never match")


def test_a_document_with_problems_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("routes: [{name: a}]\n")
    with running(file) as gateway:
        gateway.until("the route has no action  [config.missing]")
        gateway.until("1 problem; nothing was started")
        assert gateway.process.wait(timeout=20) == 1


def test_a_file_that_was_missing_is_waited_for(tmp_path: Path) -> None:
    # The running document does not know the file, so only the refused one can tell the watcher about it.
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT)
    with running(file, "--watch") as gateway:
        gateway.until("config.unreachable_route")
        file.write_text(DOCUMENT + '  - {name: c, paths: [/c], respond: {body: "${file:body.txt}"}}\n')
        gateway.until("cannot read `body.txt`")
        gateway.until("the running configuration was not changed")
        (tmp_path / "body.txt").write_text("there")
        gateway.until("reloaded")
