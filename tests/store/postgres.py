"""A PostgreSQL server for tests: its own cluster in a temporary folder, on a UNIX socket only, never as root."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.harness import eventually

ACCOUNTS = ("postgres", "nobody")
"""Who runs the server when the tests run as root, which PostgreSQL refuses to be."""


def missing() -> str | None:
    """Why there can be no server here."""
    if _binaries() is None:
        return "postgresql is not installed"
    if os.geteuid() == 0 and _account() is None:
        return "no account to run postgresql as"
    return None


def _binaries() -> Path | None:
    """Debian keeps `initdb` and `postgres` out of the path."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _account() -> pwd.struct_passwd | None:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Cluster:
    """A running server."""

    def __init__(self) -> None:
        binaries = _binaries()
        assert binaries is not None
        self._numbers = itertools.count()
        # A short name: the path of a UNIX socket has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="tg-pg-", dir="/tmp"))
        account = _account() if os.geteuid() == 0 else None
        self._user: dict[str, Any] = (
            {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        )
        if account is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        os.chmod(self.folder, 0o755)
        self._data = self.folder / "data"
        self._server = binaries / "postgres"
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            self._data,
            "-U",
            "tidegate",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run([*initdb, "--locale=C"], check=True, capture_output=True, cwd=self.folder, **self._user)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        command: list[str | Path] = [self._server, "-D", self._data, *options]
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=self.folder, **self._user
        )
        log.close()
        eventually(lambda: self._answers(process), "the PostgreSQL server")
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        import psycopg

        assert process.poll() is None, (self.folder / "log").read_text()
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://tidegate@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def processes(self) -> list[int]:
        """The server and those of its connections."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def pause(self) -> None:
        """Nothing answers any more, and nothing is closed."""
        for number in self.processes():
            os.kill(number, signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on after `pause`."""
        for number in self.processes():
            with contextlib.suppress(ProcessLookupError):  # those whose client has left end as they wake up
                os.kill(number, signal.SIGCONT)

    def kill(self) -> None:
        """Ends it without warning."""
        for number in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGQUIT if number == self.process.pid else signal.SIGKILL)
        self.process.wait(20)

    def restart(self) -> None:
        """Starts it again on the same data."""
        self.process = self._start()

    def stop(self) -> None:
        """Ends it and removes its data."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
