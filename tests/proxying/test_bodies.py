"""Bodies: cut at every byte, early answers, back-pressure, flat memory."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Proxy, StartUpstream
from tests.harness import DEADLINE, Connection, eventually
from tests.proxying.conftest import memory_kib

GIB = 1 << 30
PIECE = bytes(1 << 20)
"""What big bodies are sent in."""
FLAT_KIB = 24 << 10
"""How much memory may grow by, whatever the size of the body."""


def test_a_request_cut_at_every_byte_arrives_whole(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    message = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    message += b"3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n"
    with proxy(service).raw() as client:
        for at in range(1, len(message)):
            client.send(message[:at], message[at:])
            assert client.read_answer()[0] == 200
    bodies = [request.body for request in service.requests]
    assert bodies == [b"abc0123456789"] * (len(message) - 1)
    assert service.connections == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_answer_that_drips_arrives_whole(proxy: Proxy, upstream: StartUpstream, framing: str) -> None:
    head, body = {
        "length": (b"Content-Length: 26\r\n", b"abcdefghijklmnopqrstuvwxyz"),
        "chunked": (
            b"Transfer-Encoding: chunked\r\n",
            b"3\r\nabc\r\n17\r\ndefghijklmnopqrstuvwxyz\r\n0\r\nT: u\r\n\r\n",
        ),
        "close": (b"Connection: close\r\n", b"abcdefghijklmnopqrstuvwxyz"),
    }[framing]

    def play(connection: Connection) -> None:
        connection.request()
        connection.drip(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)

    assert proxy(upstream().script(play)).get("/x").text == "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf",
    ],
)
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_an_answer_that_breaks_off_is_seen_to_be_cut(
    proxy: Proxy, upstream: StartUpstream, answer: bytes, how: str
) -> None:
    begun = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        connection.send(answer)
        begun.wait(DEADLINE)
        if how == "resets":
            connection.reset()

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"half")
        begun.set()
        rest = client.read_all()
    assert rest in (b"", b"\r\n"), "it must not look complete"


def test_a_cut_answer_to_a_client_of_http_1_0_is_a_reset(proxy: Proxy, upstream: StartUpstream) -> None:
    begun = threading.Event()

    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        begun.wait(DEADLINE)

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n")
        client.read_until(b"half")
        begun.set()
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: client.socket.recv(1 << 16), b""))


def test_an_early_answer_is_passed_on_and_what_is_left_is_read_off(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        while connection.request_head() is not None:
            connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            connection.hang()

    with proxy(upstream().script(play)).raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n", b"x" * 100_000)
        assert client.read_answer()[::2] == (403, b"no")
        client.send(b"x" * 200_000)
        client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer()[0] == 403, "the connection is in step"


def test_a_client_that_never_ends_its_body_still_reads_the_early_answer(proxy: Proxy, upstream: StartUpstream) -> None:
    def play(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

    with proxy(upstream().script(play)).raw() as client:
        client.send(f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {9 << 20}\r\n\r\n")
        sender = threading.Thread(target=_send_until_refused, args=(client.socket,))
        sender.start()
        assert client.read_answer()[::2] == (403, b"no")
        sender.join()


def _send_until_refused(channel: socket.socket) -> None:
    try:
        for _ in range(9):
            channel.sendall(PIECE)
    except OSError:
        pass


def test_an_answer_goes_on_while_the_request_body_does(proxy: Proxy, upstream: StartUpstream) -> None:
    """As in gRPC over HTTP/1.1 gateways, or a transcoder: both bodies at once."""

    def play(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := connection.read_until(b"\r\n")) != b"0\r\n":
            piece = connection.read_exactly(int(line, 16) + 2)
            connection.send(line + piece)
        connection.read_until(b"\r\n")
        connection.send("0\r\n\r\n")

    with proxy(upstream().script(play)).raw() as client:
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.read_head()[0] == 200
        for word in (b"one", b"two!", b"three"):
            client.send(f"{len(word):x}\r\n", word, "\r\n")
            assert client.read_until(word + b"\r\n").endswith(word + b"\r\n")
        client.send("0\r\n\r\n")
        assert client.read_until(b"0\r\n\r\n")


def test_server_sent_events_are_passed_on_at_once(proxy: Proxy, upstream: StartUpstream) -> None:
    go_on = threading.Semaphore(0)

    def play(connection: Connection) -> None:
        connection.request()
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            go_on.acquire(timeout=20)
            event = f"data: {number}\n\n"
            connection.send(f"{len(event):x}\r\n{event}\r\n")
        connection.send("0\r\n\r\n")

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head()[1]["content-type"] == "text/event-stream"
        for number in range(5):
            go_on.release()
            client.read_until(f"data: {number}\n\n\r\n".encode())
        client.read_until(b"0\r\n\r\n")


def test_a_client_that_does_not_read_stops_the_service(proxy: Proxy, upstream: StartUpstream) -> None:
    sent = 0

    def play(connection: Connection) -> None:
        nonlocal sent
        connection.request()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n")
        while True:
            sent += connection.socket.send(PIECE)

    gateway = proxy(upstream().script(play))
    before = memory_kib()
    with gateway.raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        eventually(lambda: _rests(lambda: sent), "the service is held back")
        assert sent < 64 << 20, "only what the sockets hold"
        assert memory_kib() - before < FLAT_KIB


def test_a_service_that_does_not_read_stops_the_client(proxy: Proxy, upstream: StartUpstream) -> None:
    over = threading.Event()

    def play(connection: Connection) -> None:
        connection.request_head()
        over.wait(20)

    gateway = proxy(upstream().script(play), route={"max_body": GIB})
    before = memory_kib()
    with gateway.raw() as client:
        client.send(f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n")
        client.socket.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < GIB:
                sent += client.socket.send(PIECE)
        over.set()
        assert sent < 64 << 20, "only what the sockets hold"
        assert memory_kib() - before < FLAT_KIB


def _rests(value: object) -> bool:
    """True when a value has not moved for a while."""
    assert callable(value)
    before = value()
    threading.Event().wait(0.3)
    return bool(before) and value() == before


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gibibyte_comes_down_in_flat_memory(proxy: Proxy, upstream: StartUpstream, framing: str) -> None:
    def play(connection: Connection) -> None:
        connection.request()
        if framing == "length":
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n")
            for _ in range(GIB // len(PIECE)):
                connection.socket.sendall(PIECE)
        else:
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(GIB // len(PIECE)):
                connection.socket.sendall(b"100000\r\n")
                connection.socket.sendall(PIECE)
                connection.socket.sendall(b"\r\n")
            connection.send("0\r\n\r\n")
        connection.hang()

    with proxy(upstream().script(play)).raw() as client:
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_head()
        start = len(client.buffer)
        client.buffer = b""
        most, count = _drain(client.socket, GIB - start)
    assert count >= GIB - start
    assert most < FLAT_KIB


def test_a_gibibyte_goes_up_in_flat_memory(proxy: Proxy, upstream: StartUpstream) -> None:
    seen: list[tuple[int, int]] = []

    def play(connection: Connection) -> None:
        connection.request_head()
        start = len(connection.buffer)
        most, count = _drain(connection.socket, GIB - start)
        seen.append((most, count + start))
        connection.buffer = b""
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with proxy(upstream().script(play), route={"max_body": GIB}).raw() as client:
        client.send(f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n")
        for _ in range(GIB // len(PIECE)):
            client.socket.sendall(PIECE)
        assert client.read_answer()[::2] == (200, b"ok")
    ((most, count),) = seen
    assert count == GIB
    assert most < FLAT_KIB


def _drain(channel: socket.socket, wanted: int) -> tuple[int, int]:
    """Reads that much; by how many KiB memory grew at most, and the count."""
    channel.settimeout(20)
    buffer = bytearray(1 << 20)
    before, most, count, looked = memory_kib(), 0, 0, 0
    while count < wanted:
        read = channel.recv_into(buffer)
        if not read:
            break
        count += read
        if count - looked > 16 << 20:
            looked = count
            most = max(most, memory_kib() - before)
    return most, count


def test_a_route_that_answers_itself_leaves_an_unread_body_behind_in_step(gateway: object) -> None:
    assert callable(gateway)
    running = gateway({"routes": [{"name": "fixed", "paths": ["/"], "respond": {"status": 200, "body": "fixed"}}]})
    with running.raw() as client:
        for _ in range(3):
            client.send(
                "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n", b"GET /evil HTTP/1.1\r\n" * 2500
            )
            assert client.read_answer()[::2] == (200, b"fixed")


def test_a_unix_socket_on_both_sides(gateway: object, upstream: StartUpstream, tmp_path: Path) -> None:
    assert callable(gateway)
    service = upstream(unix=tmp_path / "service.sock")
    running = gateway(
        {
            "listeners": [{"address": f"unix:{tmp_path}/gateway.sock"}],
            "services": [{"name": "service", "url": service.url}],
            "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
        }
    )
    assert running is not None
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(20)
        channel.connect(f"{tmp_path}/gateway.sock")
        channel.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        answer = b"".join(iter(lambda: channel.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok")
    assert service.last.body == b"hi"
