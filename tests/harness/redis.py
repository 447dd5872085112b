"""Redis of a test's own: one server, one with TLS, or a cluster of three; on ports of the system's choice."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness.poll import eventually

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(BINARY is None, reason="neither redis-server nor valkey-server is installed")


def free_port() -> int:
    """A port that nobody has now; a cluster's bus has a second one, so both are looked at."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                if port < 55_000:
                    second.bind(("127.0.0.1", port + 10_000))
                    return port
    raise AssertionError("no port is free")


class RedisServer:
    """One server; `call` talks to it, and the rest does to it what operators fear."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, tls: Sequence[str] = ()) -> None:
        assert BINARY is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.socket = folder / "socket"
        ports = ["--port", "0", "--tls-port", str(self.port), *tls] if tls else ["--port", str(self.port)]
        save = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._command = [BINARY, *ports, "--unixsocket", str(self.socket), *save, *options]
        self.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """As a document names it."""
        return f"redis://{self.address}"

    def start(self) -> None:
        """Begins, at first or again, and waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self.folder, stdout=log, stderr=log)
        eventually(lambda: self._answers(), "redis")

    def call(self, *words: str | int) -> bytes:
        """Sends one command over the UNIX socket and returns the bytes of its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            texts = [str(word).encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(t), t) for t in texts))
            return connection.recv(1 << 20)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal: SIGSTOP and SIGCONT pause it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a crash does; what it held is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.kill()

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            return self.call("PING").startswith((b"+PONG", b"-NOAUTH"))
        return False


class RedisCluster:
    """Three servers that share the slots."""

    def __init__(self, folder: Path, *options: str) -> None:
        cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *options]
        self.servers = [RedisServer(folder / str(number), *cluster) for number in range(3)]
        bounds = [0, 5461, 10923, 16384]
        for number, server in enumerate(self.servers):
            server.call("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            server.call("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port)
        eventually(lambda: all(b"cluster_state:ok" in s.call("CLUSTER", "INFO") for s in self.servers), "the cluster")
        eventually(lambda: all(s.call("CLUSTER", "NODES").count(b"connected") >= 3 for s in self.servers), "its nodes")

    @property
    def nodes(self) -> list[str]:
        """All of them."""
        return [server.address for server in self.servers]

    def stop(self) -> None:
        """Ends all of them."""
        for server in self.servers:
            server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One server, empty."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster of three, empty."""
    servers = RedisCluster(tmp_path / "cluster")
    yield servers
    servers.stop()
