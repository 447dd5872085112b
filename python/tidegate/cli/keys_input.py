"""What `tidegate keys` is given: times, secrets, files of keys, and where the store is."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tidegate.errors import StoreError, UsageError
from tidegate.store import DEFAULT_STORE, Imported, StoreUrl
from tidegate.store import secret as form
from tidegate.store.keys import check_name

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_CENTURY = 100 * 366 * 86_400
_FIELDS = ("consumer", "key", "name", "expires", "tier")


def place(store: str | None, document: str | None) -> StoreUrl:
    """The store that is meant."""
    if store is not None:
        return StoreUrl.parse(store, Path())
    if document is not None:
        from tidegate.serve.source import Documents

        # As the gateway does it: a document that is included and broken is no reason to keep a key from being revoked.
        loaded = Documents(document).load()
        if loaded.store is None:
            raise UsageError(f"`{document}` has no `store`; add `store: {{}}`, or give `--store URL`")
        return loaded.store.url
    return StoreUrl.parse(os.environ.get("TIDEGATE_STORE") or DEFAULT_STORE, Path())


def seconds(text: str, option: str) -> int:
    """The seconds of `30m`, `24h`, `90d`."""
    match = _SPAN.fullmatch(text)
    if match is None:
        if text == "0":
            return 0
        raise UsageError(f"`{option}` takes a time such as `30m`, `24h` or `90d`, not `{text}`")
    return min(int(match[1]) * _UNITS[match[2]], _CENTURY)


def when(text: str, now: float, option: str = "`--expires`", *, past: bool = False) -> int:
    """The moment, in Unix seconds, of `90d` from now, or of a date or time; without a zone it is UTC."""
    if _SPAN.fullmatch(text):
        moment = int(now) + seconds(text, option)
    else:
        try:
            parsed = datetime.fromisoformat(text)
            moment = int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            raise UsageError(f"{option} takes `90d`, a date such as `2027-01-31` or a time, not `{text}`") from None
    if moment <= now and not past:
        raise UsageError(f"{option}: `{text}` is not in the future")
    return moment


def read_secret() -> str:
    """A key on stdin, where no list of processes and no history of a shell shows it."""
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageError("expected a key on stdin")
    return line


def password(*, stdin: bool) -> str:
    """A password, from stdin or asked for twice; where nobody can be asked, stdin is a pipe and has it."""
    if stdin or not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        try:
            given = getpass.getpass("Password: ")
            again = getpass.getpass("Again: ")
        except EOFError:
            raise UsageError("expected a password") from None
        if given != again:
            raise UsageError("the two differ")
    if not given:
        raise UsageError("expected a password")
    return given


def read_keys(name: str, *, weak: bool) -> list[Imported]:
    """The keys of a file: CSV with or without a head line, or JSON lines; all problems as one `StoreError`.

    Messages name lines and never repeat what stands there: it may be a key.
    """
    text = _read(name)
    lines = _json_lines(text) if text.lstrip().startswith("{") else _csv(text)
    keys: list[Imported] = []
    problems: list[str] = []
    for number, fields in lines:
        try:
            keys.append(_imported(fields, weak=weak))
        except (StoreError, UsageError) as error:
            problems.append(f"{name}:{number}  {error}")
    if problems:
        shown = problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise StoreError("\n".join([*shown, "nothing was imported"]))
    if not keys:
        raise StoreError(f"`{name}` has no keys")
    return keys


def _read(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StoreError(f"`{name}` is not UTF-8 text") from None
    except OSError as error:
        raise StoreError(f"cannot read `{name}`: {(error.strerror or str(error)).lower()}") from None


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            yield number, value if isinstance(value, dict) else None


def _csv(text: str) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    names: tuple[str, ...] = _FIELDS
    first = True
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if first and "key" in cells and "consumer" in cells:
                names = tuple(cells)
            elif len(cells) > len(names):
                yield reader.line_num, None
            else:
                yield reader.line_num, dict(zip(names, cells, strict=False))
            first = False
    except csv.Error:
        yield reader.line_num, None


def _imported(fields: Mapping[str, object] | None, *, weak: bool) -> Imported:
    if fields is None:
        raise UsageError("expected consumer, key, and perhaps name, expires and tier")
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise UsageError(f"unknown field `{unknown[0]}`; known are {', '.join(_FIELDS)}")
    texts = {name: value for name, value in fields.items() if value not in (None, "")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise UsageError("every field is text")
    if "consumer" not in texts or "key" not in texts:
        raise UsageError("`consumer` and `key` are needed")
    values = {name: str(value) for name, value in texts.items()}
    check_name(values["consumer"], "a consumer")
    if "name" in values:
        check_name(values["name"], "a key")
    digest, hint = _digest(values["key"], weak=weak)
    # A key that is over already may be imported: it stays over.
    expires = None if "expires" not in values else when(values["expires"], time.time(), "`expires`", past=True)
    return Imported(values["consumer"], digest, hint, values.get("name", ""), expires, values.get("tier"))


def _digest(key: str, *, weak: bool) -> tuple[str, str]:
    written = form.written_digest(key) if key.startswith("sha256:") else None
    if written is not None:
        return written, "sha256..."
    if key.startswith("sha256:"):
        raise UsageError("`sha256:` goes before 64 hexadecimal digits")
    if any(not "!" <= sign <= "~" for sign in key):
        raise UsageError("a key has visible ASCII characters only, no blanks")
    if form.is_mistyped(key):
        raise UsageError("the key begins with `tg_` but its checksum is wrong: it was copied badly")
    if len(key) < form.SHORTEST_IMPORTED and not weak:
        raise UsageError(
            f"the key has fewer than {form.SHORTEST_IMPORTED} characters and could be guessed"
            "; `--allow-weak` takes it all the same"
        )
    return form.digest(key), form.hint(key)
