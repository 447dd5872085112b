"""Fills in `${env:NAME}`, `${env:NAME:-default}` and `${file:path}`; `$${` stands for `${`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from tidegate.config.problem import Finding, Interpolated, Path, did_you_mean, quote

_REFERENCE = re.compile(r"\$\$\{[^}]*\}?|\$\{([^}]*)\}?")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
LARGEST_FILE = 8 << 20
"""A list of 100,000 networks has two or three MiB."""


class Interpolation:
    """The places values come from: an environment, and files beside the document."""

    def __init__(self, environment: Mapping[str, str], folder: FilePath, seen: Callable[[FilePath], None]) -> None:
        """`seen` is told every file that was read or looked for."""
        self.environment = environment
        self.folder = folder
        self.seen = seen
        self.filled: dict[str, str] = {}
        """What was filled in, and the reference that stands for it in messages."""

    def fill(self, data: Any, findings: list[Finding], path: Path = ()) -> Any:
        """The data with every reference filled in; mappings and lists are new, what they hold otherwise is shared."""
        if isinstance(data, str):
            return self._text(data, findings, path) if "${" in data else data
        if isinstance(data, dict):
            return {key: self.fill(value, findings, (*path, key)) for key, value in data.items()}
        if isinstance(data, list):
            return [self.fill(value, findings, (*path, index)) for index, value in enumerate(data)]
        return data

    def _text(self, text: str, findings: list[Finding], path: Path) -> str:
        found = False
        escaped: list[str] = []
        at = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal found, at
            escaped.append(text[at : match.start()])
            at = match.end()
            filled = fill(match)
            escaped.append(filled.replace("{", "{{").replace("}", "}}"))
            return filled

        def fill(match: re.Match[str]) -> str:
            nonlocal found
            if match[1] is None:
                return match[0][1:]
            found = True
            if not match[0].endswith("}"):
                findings.append(
                    Finding(
                        path,
                        "config.bad_reference",
                        f"`${{` without an end in {quote(text)}",
                        "write `$${` for the characters themselves",
                    )
                )
                return ""
            value = self._value(match[1], findings, path)
            self.filled[value] = match[0]
            return value

        filled = _REFERENCE.sub(replace, text)
        if not found and "{" not in filled:
            return filled
        escaped.append(text[at:])
        return Interpolated(filled, text, "".join(escaped))

    def _value(self, inner: str, findings: list[Finding], path: Path) -> str:
        if match := _ENV.fullmatch(inner):
            value = self.environment.get(match[1])
            if value is None or (value == "" and match[2] is not None):
                if match[2] is None:
                    hint = (
                        did_you_mean(match[1], self.environment)
                        or f"set it, or give a default: `${{env:{match[1]}:-...}}`"
                    )
                    findings.append(Finding(path, "config.env_missing", f"the environment has no `{match[1]}`", hint))
                value = match[2] or ""
            if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
                findings.append(
                    Finding(path, "config.env_missing", f"`{match[1]}` in the environment is not UTF-8 text")
                )
                value = ""
            return value
        if inner.startswith("file:") and inner != "file:":
            return self._file(inner[5:], findings, path)
        findings.append(
            Finding(
                path,
                "config.bad_reference",
                f"unknown reference {quote('${' + inner + '}')}",
                "write `${env:NAME}`, `${env:NAME:-default}` or `${file:path}`",
            )
        )
        return ""

    def _file(self, name: str, findings: list[Finding], path: Path) -> str:
        text, failure = read_file(self.folder / name, self.seen)
        if failure is not None:
            findings.append(
                Finding(path, "config.file_unreadable", f"cannot read `{name}`: {failure}", where_names_start(name))
            )
        return text.removesuffix("\n").removesuffix("\r")


def where_names_start(name: str) -> str | None:
    """Where a file that was not found was looked for, as a hint; `None` where its name says so."""
    return None if FilePath(name).is_absolute() else "names of files start at the folder of the document"


def read_file(file: FilePath, seen: Callable[[FilePath], None]) -> tuple[str, str | None]:
    """The text of a file, or why there is none."""
    seen(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            return "", "it is larger than 8 MiB"
        return content.decode(), None
    except UnicodeDecodeError:
        return "", "it is not UTF-8 text"
    except OSError as error:
        return "", (error.strerror or "it cannot be opened").lower()
    except ValueError:
        return "", "its name is not possible"
