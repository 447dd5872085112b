"""Writes the outcome in the form that continuous integration reads (JUnit's XML)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tidegate.errors import UsageError
from tidegate.testing.suite.report import place
from tidegate.testing.suite.run import Outcome

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(file: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes a suite for each file of tests."""
    top = ElementTree.Element("testsuites", _counts(outcomes))
    for path in dict.fromkeys(outcome.file.file for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.file.file == path]
        suite = ElementTree.SubElement(top, "testsuite", {"name": str(path), **_counts(own)})
        for outcome in own:
            about = {"classname": str(path), "name": _clean(outcome.name), "time": f"{outcome.seconds:.3f}"}
            case = ElementTree.SubElement(suite, "testcase", about)
            if outcome.failures:
                lines = [_clean(f"{place(outcome, where)} {what}") for where, what in outcome.failures]
                failure = ElementTree.SubElement(case, "failure", {"message": lines[0]})
                failure.text = "\n".join(lines)
    try:
        ElementTree.ElementTree(top).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(f"cannot write `{file}`: {(error.strerror or 'unknown reason').lower()}") from None


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    own = list(outcomes)
    return {
        "tests": str(len(own)),
        "failures": str(sum(not outcome.passed for outcome in own)),
        "errors": "0",
        "time": f"{sum(outcome.seconds for outcome in own):.3f}",
    }


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
