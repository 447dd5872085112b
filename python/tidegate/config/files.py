"""The files a document names, read as the plan is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath

from tidegate.config.check import Check
from tidegate.config.interpolate import read_file, where_names_start
from tidegate.config.problem import Interpolated, Path, quote


class Files:
    """Reads files relative to a folder, and remembers that it did."""

    def __init__(self, folder: FilePath, seen: Callable[[FilePath], None]) -> None:
        self.folder = folder
        self.seen = seen
        self.count = 0
        """Files read so far."""

    def named(self, value: str) -> FilePath:
        """A file that is followed by itself: it is read with every load, and a change of it is no reload."""
        self.count += 1
        return (self.folder / value).absolute()

    def pem(self, value: str, kind: str, check: Check, path: Path) -> str:
        """The PEM text of a value, which is a file name or the text itself. `kind` is what must be inside."""
        inline = "-----BEGIN" in value
        text = value
        if not inline:
            self.count += 1
            text, failure = read_file(self.folder / value, self.seen)
            if failure is not None:
                check.problem(
                    path, "file_unreadable", f"cannot read {quote(value)}: {failure}", where_names_start(value)
                )
                return ""
        if f"{kind}-----" not in text or "-----BEGIN" not in text:
            where = "the text" if inline or isinstance(value, Interpolated) else quote(value)
            check.problem(path, "bad_pem", f"{where} holds no PEM block of `{kind}`")
        return text
