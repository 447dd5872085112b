"""What is wrong with a document, and where: place, problem, code, hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

Path = tuple[str | int, ...]

_NUMBER = re.compile(r"(?<=\[)\d+")


class Interpolated(str):
    """Text that came from `${env:...}` or `${file:...}`: a secret until shown otherwise.

    It may stand where a number or a truth value is wanted, as an environment holds nothing but text.
    """

    __slots__ = ("escaped", "written")
    written: str
    """As the document has it; the one form that may be shown."""
    escaped: str
    """The value with the braces of what was filled in doubled, so that they are never taken for references."""

    def __new__(cls, value: str, written: str, escaped: str) -> Interpolated:
        """Makes the text `value`."""
        made = super().__new__(cls, value)
        made.written = written
        made.escaped = escaped
        return made


class Finding(NamedTuple):
    """A problem whose place is still relative to the part of the document it was found in."""

    path: Path
    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its place; `str()` gives it as people read it."""

    code: str
    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    hint: str | None = None

    def order(self) -> tuple[str, int, str, str, str]:
        """Sorts by file and line, then so that the order never depends on the way the document was loaded."""
        path = _NUMBER.sub(lambda match: match[0].zfill(8), self.path)
        return (self.file or "", self.line or 0, path, self.code, self.message)

    def without(self, secrets: Mapping[str, str]) -> Problem:
        """The same with every secret replaced by the reference that stands for it.

        Messages show values as they were written; this is for what is left, such as a part of a value.
        """
        hint = self.hint and without_secrets(self.hint, secrets)
        return replace(self, message=without_secrets(self.message, secrets), hint=hint)

    def place(self) -> str:
        """The file and line, as far as they are known."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        where = "  ".join(part for part in (self.place(), f"{self.path}:" if self.path else "") if part)
        text = f"{where} {self.message}" if self.path else f"{where}  {self.message}" if where else self.message
        text += f"  [{self.code}]"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"

    def to_json(self) -> dict[str, Any]:
        """The problem as a program reads it."""
        return {
            "code": self.code,
            "message": self.message,
            "path": self.path,
            "file": self.file,
            "line": self.line,
            "hint": self.hint,
        }


def render_path(path: Path) -> str:
    """Writes `("routes", 2, "service")` as `routes[2].service`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "a").replace("-", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{printable(part)}"]'
    return text


def without_secrets(text: str, secrets: Mapping[str, str]) -> str:
    """The text with references in the place of secrets.

    What is shorter than four characters is too common to be told apart, and no secret.
    """
    for secret, reference in secrets.items():
        if len(secret) >= 4:
            text = text.replace(secret, reference)
    return text


def printable(text: str) -> str:
    """The text with escapes for all that is not printable, so that it cannot play tricks on a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word nearest to `word`, when one is near enough."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"did you mean `{lowered[near[0]]}`?" if near else None


def count(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def quote(value: object) -> str:
    """A value as it is shown in a message: short, on one line, in backticks."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif value is None:
        text = "null"
    elif isinstance(value, dict):
        return "a mapping"
    elif isinstance(value, list | tuple):
        return "a list"
    else:
        text = printable(str(getattr(value, "written", value))).replace("`", "'")
    return f"`{text}`" if len(text) <= 60 else f"`{text[:57]}...`"
