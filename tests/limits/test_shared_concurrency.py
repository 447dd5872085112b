"""Leases that gateways share, and a Redis that is reached by TLS."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway, StartProcess, StartUpstream
from tests.harness import Raw
from tests.harness.poll import eventually
from tests.harness.redis import RedisServer, needs_redis

pytestmark = needs_redis


def document(service: str, redis: str, options: str = "limit: 2, on_store_failure: deny") -> str:
    return f"""
listeners: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0"}}
access_log: off
workers: 1
redis: {{url: "{redis}", timeout: 5s}}
services: [{{name: slow, url: "{service}"}}]
routes:
  - {{name: slow, paths: [/slow], service: slow, policies: {{concurrency: {{key: all, {options}}}}}}}
  - {{name: ok, paths: [/], respond: {{status: 200}}}}
"""


@pytest.fixture
def silent() -> Iterator[str]:
    """A service that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def occupy(address: tuple[str, int], redis: RedisServer, leases: int) -> socket.socket:
    client = socket.create_connection(address, timeout=10)
    try:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: held(redis) == leases, f"{leases} leases")
    except BaseException:
        client.close()
        raise
    return client


def held(redis: RedisServer) -> int:
    keys = [line for line in redis.call("KEYS", "*concurrency*").split(b"\r\n") if b"concurrency" in line]
    return sum(int(redis.call("ZCARD", key.decode())[1:-2]) for key in keys)


def holders(redis: RedisServer) -> list[bytes]:
    """Who holds the leases, as Redis tells it."""
    keys = [line for line in redis.call("KEYS", "*concurrency*").split(b"\r\n") if b"concurrency" in line]
    return [redis.call("ZRANGE", key.decode(), "0", "-1") for key in keys]


def test_gateways_count_what_is_under_way_together(process: StartProcess, redis: RedisServer, silent: str) -> None:
    two = [process(document(silent, redis.url)) for _ in range(2)]
    addresses = [gateway.address() for gateway in two]

    clients = [occupy(addresses[0], redis, 1), occupy(addresses[1], redis, 2)]
    for gateway in two:
        refused = gateway.get("/slow")
        assert (refused.status, refused.code) == (429, "too_many_concurrent")
    clients[0].close()
    eventually(lambda: held(redis) == 1, "the lease of a client that left")
    clients.append(occupy(addresses[1], redis, 2))
    for client in clients:
        client.close()
    eventually(lambda: held(redis) == 0, "all leases are back")


def test_the_leases_of_a_gateway_that_was_killed_end_by_themselves(
    process: StartProcess, redis: RedisServer, silent: str
) -> None:
    dead = process(document(silent, redis.url, "limit: 1, on_store_failure: deny"))
    client = occupy(dead.address(), redis, 1)
    dead.signal(signal.SIGKILL)
    client.close()
    [key] = [line for line in redis.call("KEYS", "*concurrency*").split(b"\r\n") if b"concurrency" in line]
    assert 0 < int(redis.call("PTTL", key.decode())[1:-2]) <= 30_000
    # Thirty seconds pass, for Redis.
    [_, member] = redis.call("ZRANGE", key.decode(), 0, -1).split(b"\r\n")[1:3]
    redis.call("ZADD", key.decode(), "XX", int(time.time() * 1e6) - 1, member.decode())
    alive = process(document(silent, redis.url, "limit: 1, on_store_failure: deny"))
    occupy(alive.address(), redis, 1).close()


def test_a_request_waits_for_its_turn_among_gateways(
    gateway: StartGateway, upstream: StartUpstream, redis: RedisServer, silent: str
) -> None:
    text = document(silent, redis.url, "limit: 1, queue: 1, queue_timeout: 10s, on_store_failure: deny")
    two = [gateway(text) for _ in range(2)]
    first = occupy(two[0].address(), redis, 1)
    with Raw(two[1].address()) as one, Raw(two[1].address()) as other:
        # One of them waits, and for the other there is no room.
        for client in (one, other):
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        ready, _, _ = select.select([one.socket, other.socket], [], [], 10)
        assert [client.read_answer()[0] for client in (one, other) if client.socket in ready] == [429]
        before = holders(redis)
        first.close()
        eventually(lambda: held(redis) == 1 and holders(redis) != before, "its turn")
    eventually(lambda: held(redis) == 0, "all leases are back")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority and a certificate for `localhost` by it."""
    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    commands = (
        f"openssl req -x509 {new} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        f"openssl req {new} -subj /CN=localhost -keyout key.pem -out key.csr",
        "openssl x509 -req -in key.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out cert.pem",
    )
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost\n")
    for command in commands:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_redis_is_reached_by_tls_with_user_and_password(gateway: StartGateway, certificates: Path) -> None:
    files = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem"]
    tls = [str(certificates / word) if word.endswith(".pem") else word for word in files]
    rules = ("allcommands", "on", ">secret", "~shop:*")
    redis = RedisServer(certificates / "redis", "--user", "gate", *rules, tls=(*tls, "--tls-auth-clients", "no"))
    try:
        limit = {"limit": "2/1h", "algorithm": "fixed_window", "on_store_failure": "deny"}
        route = {"name": "r", "paths": ["/"], "respond": {"body": "ok"}, "policies": {"rate_limit": limit}}
        url = f"rediss://gate:secret@localhost:{redis.port}"
        trusted = {"url": url, "prefix": "shop:", "timeout": "5s", "tls": {"ca": str(certificates / "ca.pem")}}
        one = gateway({"routes": [route], "redis": trusted})
        eventually(lambda: one.get("/").status == 200, "redis by TLS")
        assert [one.get("/").status for _ in range(2)] == [200, 429]
        # Who shows a certificate that nobody vouches for gets nothing, least of all the password.
        other = gateway({"routes": [route], "redis": {"url": url, "prefix": "shop:"}})
        assert {other.get("/").status for _ in range(20)} == {503}
    finally:
        redis.stop()
