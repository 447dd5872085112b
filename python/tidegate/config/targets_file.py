"""Files that hold the targets of a service, and change while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from tidegate.config.check import Check
from tidegate.config.interpolate import read_file
from tidegate.config.problem import Finding, Path, Problem, quote, render_path
from tidegate.config.sources import yaml_source
from tidegate.config.sources.tree import BadTextError, Tree
from tidegate.config.translate import translate
from tidegate.config.upstream import Target, plan_targets, spelled_out

Planned = list[dict[str, Any]]


@dataclass(frozen=True)
class TargetsFile:
    """A file of targets, and the targets of the document that they come after."""

    file: FilePath
    written: tuple[Target, ...]
    default_port: int
    loaded: Planned = field(default_factory=list, compare=False)
    """All targets as the document was loaded with them."""

    def read(self) -> tuple[Planned, list[Problem]]:
        """All targets as the engine takes them, or what is wrong with the file."""
        text, failure = read_file(self.file, lambda _: None)
        if failure is not None:
            return [], [Problem("config.file_unreadable", f"cannot read it: {failure}", "", str(self.file))]
        try:
            tree = yaml_source.read(text)
        except BadTextError as error:
            mark = error.mark
            return [], [Problem(mark.code, mark.message, "", str(self.file), mark.line, mark.hint)]
        targets, findings = _targets(tree)
        check = Check()
        planned = plan_targets([*self.written, *targets], self.default_port, check, ())
        # Places are only right when no target is missing.
        findings = findings or [_moved(finding, len(self.written)) for finding in check.findings]
        where = str(self.file)
        marks = [Problem(mark.code, mark.message, render_path(mark.path), where, mark.line) for mark in tree.marks]
        found = [
            Problem(it.code, it.message, render_path(it.path), where, tree.line(it.path), it.hint) for it in findings
        ]
        return ([], marks + found) if marks or found else (planned, [])


def _targets(tree: Tree) -> tuple[list[Target], list[Finding]]:
    value = tree.value
    prefix: Path = ()
    if isinstance(value, dict) and list(value) == ["targets"]:
        value, prefix = value["targets"], ("targets",)
    if not isinstance(value, list):
        message = f"expected a list of targets, or `targets` with one, got {quote(value)}"
        return [], [Finding(prefix, "config.wrong_type", message, "write `- address: 10.0.0.7:8080`")]
    targets, findings = [], []
    for index, entry in enumerate(value):
        try:
            targets.append(Target.model_validate(spelled_out(entry)))
        except ValidationError as error:
            found = translate(Target, error)
            findings += [finding._replace(path=(*prefix, index, *finding.path)) for finding in found]
    return targets, findings


def _moved(finding: Finding, before: int) -> Finding:
    """Places of the file do not count the targets of the document."""
    path: Path = finding.path
    if len(path) > 1 and path[0] == "targets" and isinstance(path[1], int):
        path = (path[1] - before, *path[2:])
    return finding._replace(path=path)
