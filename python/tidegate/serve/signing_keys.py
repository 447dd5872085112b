"""Keys to sign with that the gateway makes itself: a file that gateways share, and when its keys begin and end.

A key is published `overlap` before it signs and as long after it has signed for the last time, so whoever checks tokens
knows every key in time, and a gateway that looks at the file now and then is never late.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tidegate._native import make_signing_key, signing_key_name
from tidegate.config.implied import KeptKeys
from tidegate.config.problem import Problem
from tidegate.errors import ConfigError

LOG = logging.getLogger("tidegate.signing_keys")

LOOK_SECONDS = 30.0
"""How often the file is looked at: another gateway may have made a key. Much shorter than any sensible `overlap`."""
SHORTEST_LOOK_SECONDS = 0.2
OPEN_END = 1 << 62
"""Of the key that comes last."""


class Key(NamedTuple):
    """A private key, and its time in Unix seconds."""

    pem: str
    starts: int
    """From here on it signs, until another one does."""
    ends: int
    """From here on it is not published any more."""


class KeyFile:
    """The file of one issuer's keys. Every change is made under a lock, and whole or not at all."""

    def __init__(self, kept: KeptKeys, now: Callable[[], float] = time.time) -> None:
        self.path = Path(kept.file)
        self.kept = kept
        self._now = now

    def keys(self) -> list[Key]:
        """The keys as they are, after those were made and dropped whose time has come.

        Raises `OSError` when the file cannot be read or written, `ValueError` when it holds something else.
        """
        with self._locked():
            made = self._read()
            kept = self._turned([(pem, starts) for pem, starts in made])
            if kept != made:
                self._write(kept)
        return self._with_ends(kept)

    def _turned(self, keys: list[tuple[str, int]]) -> list[tuple[str, int]]:
        now, every, overlap = int(self._now()), self.kept.rotate_ms / 1000, self.kept.overlap_ms / 1000
        if not keys:
            return [(make_signing_key(self.kept.algorithm), now)]
        if keys[-1][1] + every - overlap <= now:
            # Never before everyone could have seen it, even when the gateway was off for a while.
            starts = max(keys[-1][1] + every, now + overlap)
            keys = [*keys, (make_signing_key(self.kept.algorithm), int(starts))]
        return [key for key, (_, _, ends) in zip(keys, self._with_ends(keys), strict=True) if ends > now]

    def _with_ends(self, keys: list[tuple[str, int]]) -> list[Key]:
        overlap = self.kept.overlap_ms // 1000 + 1
        ends = [*(starts + overlap for _, starts in keys[1:]), OPEN_END]
        return [Key(pem, starts, end) for (pem, starts), end in zip(keys, ends, strict=True)]

    def _read(self) -> list[tuple[str, int]]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        try:
            keys = [(str(key["private_key"]), int(key["signs_from"])) for key in json.loads(text)["keys"]]
            for pem, _ in keys:
                signing_key_name(pem)
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{self.path} is no file of signing keys") from None
        return sorted(keys, key=lambda key: key[1])

    def _write(self, keys: list[tuple[str, int]]) -> None:
        data: dict[str, Any] = {"keys": [{"signs_from": starts, "private_key": pem} for pem, starts in keys]}
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _problem(file: Path, error: OSError | ValueError) -> Problem:
    if not isinstance(error, OSError):
        return Problem("config.file_unreadable", f"`key_file` of `signed_identity`: {error}")
    reason = (error.strerror or str(error)).lower()
    message = f"cannot keep the keys of `signed_identity` in `{file}`: {reason}"
    missing = not file.parent.exists()
    hint = (
        f"make its folder: `mkdir -p {file.parent}`" if missing else "`key_file` is a file that the gateway may write"
    )
    return Problem("config.file_unreadable", message, hint=hint)


Files = dict[str, tuple[KeyFile, list[Key]]]
"""By the name that the engine knows them by, with the keys that it has."""

Put = Callable[[str, list[Key]], None]
"""Gives the engine the keys of a name."""


class SigningKeys:
    """The key files of the running document, and the engine that signs with what is in them."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._files: Files = {}

    def read(self, kept: tuple[KeptKeys, ...]) -> Files:
        """The files of a document, with the keys that the engine must have before it takes the document.

        Raises `ConfigError`.
        """
        files: Files = {}
        for one in kept:
            file = KeyFile(one, self._now)
            try:
                files[one.file] = file, file.keys()
            except (OSError, ValueError) as error:
                raise ConfigError([_problem(file.path, error)]) from None
        return files

    def use(self, files: Files) -> None:
        """Follows these files from now on, and no others."""
        self._files = files

    def look(self, put: Put) -> None:
        """Makes and drops keys whose time has come, and gives the engine what has changed, by anyone.

        A file that fails for now leaves the engine with the keys it has, which are good for a while.
        """
        for name, (file, known) in list(self._files.items()):
            try:
                keys = file.keys()
            except (OSError, ValueError) as error:
                LOG.warning("signing keys cannot be refreshed file=%s error=%s", name, error)
                continue
            if keys != known:
                self._files[name] = file, keys
                put(name, keys)

    async def keep_looking(self, put: Put) -> None:
        """Looks for ever; for the background loop."""
        while True:
            overlaps = [file.kept.overlap_ms / 1000 for file, _ in self._files.values()]
            await asyncio.sleep(max(SHORTEST_LOOK_SECONDS, min([LOOK_SECONDS, *(overlap / 8 for overlap in overlaps)])))
            self.look(put)
