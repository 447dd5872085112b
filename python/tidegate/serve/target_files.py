"""Follows the files that hold targets of services."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from tidegate.config.targets_file import Planned, TargetsFile
from tidegate.serve.watch import Watcher

LOG = logging.getLogger("tidegate.targets")


class TargetFiles:
    """Gives services the targets of their files as these change; a file that is bad changes nothing."""

    def __init__(self, put: Callable[[str, Planned], None]) -> None:
        """`put` gives a service its targets. It is called on a thread of this, which begins with the first file."""
        self._put = put
        self._files: dict[str, TargetsFile] = {}
        self._seen: dict[str, Planned] = {}
        self._watcher: Watcher | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def follow(self, files: Mapping[str, TargetsFile]) -> None:
        """Follows these files from now on; the running document has what they hold already."""
        with self._lock:
            if not files and self._watcher is None:
                return
            self._files = dict(files)
            self._seen = {service: file.loaded for service, file in files.items()}
            if self._watcher is None:
                self._watcher = Watcher()
            self._watcher.watch(file.file for file in files.values())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidegate-targets", daemon=True)
                self._thread.start()
            # What changed since it was loaded.
            self._look()

    def stop(self) -> None:
        """Ends the thread; may be called again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._watcher is not None and thread is not None:
                self._watcher.close()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        watcher = self._watcher
        assert watcher is not None, "the thread begins with the watcher"
        while watcher.wait():
            try:
                with self._lock:
                    self._look()
            except Exception:
                LOG.exception("targets files failed")

    def _look(self) -> None:
        for service, file in self._files.items():
            planned, problems = file.read()
            if problems:
                for problem in problems:
                    LOG.error("targets file refused service=%s problem=%s", service, problem)
            elif planned != self._seen.get(service):
                self._put(service, planned)
                self._seen[service] = planned
                LOG.info("targets changed service=%s targets=%d", service, len(planned))
