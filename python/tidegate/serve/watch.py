"""Tells at once when one of a set of files has changed.

Folders are watched, not files: editors save by renaming, Kubernetes swaps a link beside the file. What an event means
is then read off the files themselves, so a write that changes nothing is no change.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from tidegate.config.load import is_document

SETTLE = 0.003
"""Seconds without another event before a change is told: a save is several events."""
SETTLE_AT_MOST = 0.05
POLL = 0.5
"""Seconds between two looks where the system has no inotify."""

_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_MASK = _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_ONLYDIR = 0x0100_0000

Signature = dict[Path, tuple[int, int, int] | None]
_THERE = (0, 0, 0)
"""Of a folder in a folder: what happens inside is another matter."""


class Watcher:
    """Watches the files of a document; `wait` blocks until one has changed, and `close` ends a wait."""

    def __init__(self) -> None:
        self._files: tuple[Path, ...] = ()
        self._folders: tuple[Path, ...] = ()
        self._signature: Signature = {}
        self._lock = threading.Lock()
        self._stopped, self._stop = os.pipe()
        self._inotify = _inotify()

    def watch(self, files: Iterable[Path], folders: Iterable[Path] = ()) -> bool:
        """Watches these from now on. In `folders` new documents and new folders count as a change too.

        True when there is a document in a folder that is new here, and it is none of the files: it came after these
        were read.

        Files that were watched before are compared with what they were when the last change was told, so that one which
        changed while a document was loaded is told too.
        """
        with self._lock:
            before = self._folders
            self._files, self._folders = tuple(files), tuple(folders)
            self._place_watches()
            now = _signature(self._files, self._folders)
            new = [folder for folder in self._folders if folder not in before] if before else []
            unread = now.keys() - self._signature.keys() - set(self._files)
            missed = any(file.parent in new and is_document(file.name) for file in unread)
            self._signature = {file: self._signature.get(file, state) for file, state in now.items()}
            return missed

    def wait(self) -> bool:
        """True after a change, false once the watcher is closed."""
        while self._event():
            self._settle()
            with self._lock:
                self._place_watches()
                signature = _signature(self._files, self._folders)
                changed = signature != self._signature
                self._signature = signature
            if changed:
                return True
        return False

    def close(self) -> None:
        """Ends a wait, from any thread."""
        os.write(self._stop, b".")

    def _place_watches(self) -> None:
        """Watches the folders as they are now: one may have been replaced by another of its name."""
        if self._inotify is not None:
            self._inotify.watch(_places(self._files, self._folders))

    def _event(self) -> bool:
        watched = [self._stopped] if self._inotify is None else [self._stopped, self._inotify.descriptor]
        if self._stopped in _readable(watched, POLL if self._inotify is None else None):
            return False
        if self._inotify is not None:
            self._inotify.read()
        return True

    def _settle(self) -> None:
        """Waits until a burst of events is over."""
        if self._inotify is None:
            return
        until = time.monotonic() + SETTLE_AT_MOST
        while time.monotonic() < until and _readable([self._inotify.descriptor], SETTLE):
            self._inotify.read()


def _readable(descriptors: list[int], seconds: float | None) -> list[int]:
    """Those that can be read, once one can or the time is over. poll(2), as select(2) ends at descriptor 1023."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)]


def _inotify() -> _Inotify | None:
    """Events of the system; `None` where it has none, or none left for this user."""
    try:
        return _Inotify() if sys.platform == "linux" else None
    except OSError:
        return None


class _Inotify:
    """The few calls of inotify(7) that are needed."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1 failed")
        self._watched: dict[Path, int] = {}

    def watch(self, folders: set[Path]) -> None:
        """Watches exactly these folders; those that are not there are left out."""
        for folder in self._watched.keys() - folders:
            self._libc.inotify_rm_watch(self.descriptor, self._watched.pop(folder))
        # Adding one again is harmless, and finds a folder that was replaced by another of its name.
        for folder in folders:
            number = self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), _MASK | _ONLYDIR)
            if number >= 0:
                self._watched[folder] = number

    def read(self) -> None:
        """Takes what events there are."""
        try:
            while os.read(self.descriptor, 1 << 16):
                pass
        except BlockingIOError:
            pass


def _places(files: tuple[Path, ...], folders: tuple[Path, ...]) -> set[Path]:
    """The folders whose events can mean a change, those behind links included."""
    places = {place for folder in folders for place in (folder.absolute(), folder.absolute().parent)}
    for file in files:
        path = file.absolute()
        places.add(path.parent)
        if (real := Path(os.path.realpath(path))) != path:
            places.add(real.parent)
            # A link along the way (`..data` of a Kubernetes volume) may be swapped as a whole.
            places |= {parent.parent for parent in path.parents if parent.is_symlink()}
            places |= _linked(path)
    return places


def _linked(path: Path) -> set[Path]:
    """The folders of the links that `path` goes through, one after another."""
    folders: set[Path] = set()
    for _ in range(40):  # as many as the system follows
        if not path.is_symlink():
            break
        target = path.parent / os.readlink(path)
        folders |= {parent.parent for parent in (target, *target.parents) if parent.is_symlink()}
        folders.add(target.parent)
        path = target
    return folders


def _signature(files: tuple[Path, ...], folders: tuple[Path, ...]) -> Signature:
    signature: Signature = {file: _stat(file) for file in files}
    for folder in folders:
        try:
            for entry in os.scandir(folder):
                path = folder / entry.name
                if is_document(entry.name):
                    signature.setdefault(path, _stat(path))
                elif entry.name[0] not in "._" and entry.is_dir():
                    signature.setdefault(path, _THERE)
        except OSError:
            signature[folder] = None
    return signature


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
