"""Reads files of tests; problems have file, line and hint, as those of documents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from tidegate.config.document import SUFFIXES
from tidegate.config.load import TEST_MARK, read_text
from tidegate.config.problem import Finding, Problem, printable, render_path
from tidegate.config.problem import Path as Place
from tidegate.config.sources import yaml_source
from tidegate.config.sources.tree import BadTextError, Tree
from tidegate.config.translate import translate
from tidegate.errors import ConfigError, UsageError
from tidegate.testing.suite.model import Case, Step, Suite, pattern_fault


@dataclass
class SuiteFile:
    """A file of tests that can be run."""

    file: Path
    suite: Suite
    tree: Tree = field(repr=False)

    @property
    def document(self) -> Path:
        """The document that is tested."""
        named = self.suite.document
        return self.beside if named is None else Path(os.path.normpath(self.file.parent / named))

    @property
    def beside(self) -> Path:
        """The document that the file stands beside, whether it is there or not."""
        return self.file.with_name(f"{self.file.stem.removesuffix(TEST_MARK)}{self.file.suffix}")

    def line(self, place: Place) -> int:
        """The line of a part of the file."""
        return self.tree.line(place)


def files_of(paths: list[Path]) -> list[Path]:
    """The files of tests that are meant: such a file, the one beside a document, or all below a folder."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.rglob(f"*{TEST_MARK}.*")) if file.suffix.lower() in SUFFIXES]
            if not inside:
                raise UsageError(f"the folder `{path}` has no `*{TEST_MARK}.yaml`")
            found |= dict.fromkeys(inside)
        elif (
            not path.stem.endswith(TEST_MARK)
            and (beside := path.with_name(f"{path.stem}{TEST_MARK}{path.suffix}")).exists()
        ):
            found[beside] = None
        else:
            found[path] = None
    return list(found)


def read(file: Path) -> SuiteFile:
    """Reads a file of tests; raises `ConfigError` with every problem."""
    shown = str(file)
    text, problem = read_text(file, shown)
    if problem is not None:
        raise ConfigError([problem])
    try:
        tree = SUFFIXES.get(file.suffix.lower(), yaml_source.read)(text)
    except BadTextError as error:
        mark = error.mark
        raise ConfigError([Problem(mark.code, printable(mark.message), "", shown, mark.line, mark.hint)]) from None
    problems = [
        Problem(mark.code, printable(mark.message), render_path(mark.path), shown, mark.line, mark.hint)
        for mark in tree.marks
    ]
    if isinstance(tree.value, dict) and "tests" not in tree.value and "routes" in tree.value:
        beside = f"{file.stem}{TEST_MARK}{file.suffix}"
        hint = f"write its tests beside it, into `{beside}`"
        raise ConfigError([Problem("config.missing", "this is a document, and has no tests", "", shown, hint=hint)])
    findings: list[Finding] = []
    suite = None
    try:
        suite = Suite.model_validate({} if tree.value is None else tree.value)
        findings += _meaning(suite)
    except ValidationError as error:
        findings += translate(Suite, error)
    problems += [
        Problem(one.code, one.message, render_path(one.path), shown, tree.line(one.path), one.hint) for one in findings
    ]
    if problems or suite is None:
        raise ConfigError(problems)
    return SuiteFile(file, suite, tree)


def _meaning(suite: Suite) -> list[Finding]:
    found = []
    names: dict[str, int] = {}
    for index, case in enumerate(suite.tests):
        place: Place = ("tests", index)
        if case.name in names:
            message = f"a test named `{case.name}` is already there, the {names[case.name] + 1}. of the list"
            found.append(Finding((*place, "name"), "config.duplicate_name", message))
        names.setdefault(case.name, index)
        if case.steps is not None and case.request is not None:
            message = "`request` and `steps` exclude each other"
            found.append(Finding((*place, "request"), "config.bad_value", message, "make the request the first step"))
        for at, step in steps_of(case):
            found += _of_step(step, (*place, *at))
    return found


def steps_of(case: Case) -> list[tuple[Place, Step]]:
    """The steps of a test, and where each of them stands in it."""
    if case.steps is None:
        return [((), case)]
    return [(("steps", index), step) for index, step in enumerate(case.steps)]


def _of_step(step: Step, place: Place) -> list[Finding]:
    found = []
    if step.request is None and step.advance is None and not step.services:
        found.append(Finding(place, "config.missing", "`request` is missing", "write `request: GET /path`"))
    if step.request is None and "expect" in step.model_fields_set:
        found.append(Finding((*place, "expect"), "config.bad_value", "there is no request to expect something of"))
    found += [
        Finding((*place, "expect", "json", *path), "config.bad_value", fault)
        for path, fault in _pattern_faults(step.expect.content)
    ]
    if step.expect.allowed and (step.expect.refused_by or step.expect.code):
        found.append(Finding((*place, "expect", "allowed"), "config.bad_value", "it cannot be refused and allowed"))
    return found


def _pattern_faults(value: object, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Texts in JSON that begin as regular expressions do, and are none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _pattern_faults(inner, (*path, str(name)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _pattern_faults(inner, (*path, index))
    elif isinstance(value, str) and (fault := pattern_fault(value)) is not None:
        yield path, fault
