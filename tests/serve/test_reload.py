"""Reloading: everything or nothing, and nobody notices."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from hyperframe.frame import GoAwayFrame
from tidegate import ConfigError, ListenError

from tests.conftest import StartGateway, StartProcess, StartUpstream
from tests.harness import Raw, eventually
from tests.harness.upstream import answer_when
from tests.http2.raw import Raw as Http2
from tests.serve.load import Load


def respond(body: str, path: str = "/", name: str = "a") -> dict[str, object]:
    return {"name": name, "paths": [path], "respond": {"status": 200, "body": body}}


def document(body: str, *more: str) -> str:
    lines = [
        "listeners: [{address: '127.0.0.1:0'}]",
        "admin: {address: '127.0.0.1:0'}",
        "access_log: off",
        "routes:",
        f"  - {{name: a, paths: [/], respond: {{status: 200, body: {body}}}}}",
        *more,
    ]
    return "\n".join(lines) + "\n"


def test_no_request_fails_over_100_reloads_under_load(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    running = gateway({"routes": [respond("0")]}, workers=2)
    with Load(running.address) as load:
        for turn in range(100):
            services = [{"name": "s", "url": service.url, "retries": turn % 3}]
            proxied = {"name": "p", "paths": [f"/p{turn}"], "service": "s"}
            action = (
                respond(str(turn)) if turn % 2 else {"name": "b", "paths": ["/"], "service": "s", "strip_path": False}
            )
            done = load.done
            running.reload({"services": services, "routes": [action, proxied]})
            eventually(lambda done=done: load.done > done, "a request between two reloads")  # type: ignore[misc]
    assert load.failed == []
    assert load.done > 100


def test_a_document_with_problems_changes_nothing(gateway: StartGateway) -> None:
    running = gateway({"routes": [respond("old")]})
    for bad in (
        "routes:\n  - name: a\n    paths: [/]\n    service: absent\n",
        "routes:\n  - name: a\n    paths: ['~(']\n    respond: {status: 200}\n",
        "routes: 7\n",
        "{",
    ):
        with pytest.raises(ConfigError) as raised:
            running.reload(bad)
        assert raised.value.problems[0].line is not None
        assert running.get("/").text == "old"


def test_a_listener_that_cannot_be_opened_changes_nothing(gateway: StartGateway, upstream: StartUpstream) -> None:
    running = gateway({"routes": [respond("old")]})
    host, port = upstream().address
    with pytest.raises(ListenError, match=f"cannot listen on {host}:{port}: address already in use\n  hint: "):
        running.reload({"listeners": [{"address": f"{host}:{port}"}], "routes": [respond("new")]})
    assert running.get("/").text == "old"


def test_listeners_come_and_go_with_the_document(gateway: StartGateway) -> None:
    first = {"name": "first", "address": "127.0.0.1:0"}
    second = {"name": "second", "address": "127.0.0.1:0"}
    running = gateway({"listeners": [first], "routes": [respond("x")]})
    stays = running.address("first")
    running.reload({"listeners": [first, second], "routes": [respond("x")]})
    assert running.address("first") == stays
    gone = running.address("second")
    assert running.get("/", listener="second").text == "x"
    running.reload({"listeners": [first], "routes": [respond("x")]})

    def refused() -> bool:
        try:
            Raw(gone).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(refused, "the end of the second listener")
    assert running.get("/").text == "x"


# Whoever kept a connection to a listener that was closed went on by it, for as long as it liked.
def test_connections_of_a_listener_that_is_gone_close_after_their_answer(gateway: StartGateway) -> None:
    listeners = [{"name": name, "address": "127.0.0.1:0"} for name in ("stays", "goes")]
    running = gateway({"listeners": listeners, "routes": [respond("ok")]})
    with running.raw("stays") as kept, running.raw("goes") as idle, Http2(running.address("goes")) as http2:
        for client in (kept, idle):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.read_answer()[0] == 200
        http2.greet()
        running.reload({"listeners": listeners[:1], "routes": [respond("ok")]})
        assert idle.read_all() == b""
        assert http2.until(GoAwayFrame) is not None
        kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert kept.read_answer()[0] == 200


def test_an_open_stream_outlives_reloads(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()
    go = threading.Event()

    def play(connection: object) -> None:
        connection.request()  # type: ignore[attr-defined]
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")  # type: ignore[attr-defined]
        assert go.wait(20)
        connection.send(b"data: 2\n\n")  # type: ignore[attr-defined]

    service.script(play)
    proxied = {"name": "p", "paths": ["/events"], "service": "s"}
    running = gateway({"services": [{"name": "s", "url": service.url}], "routes": [proxied]})
    with running.raw() as raw:
        raw.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_until(b"data: 1\n\n")
        for turn in range(3):
            running.reload({"routes": [respond(str(turn))]})
        assert running.get("/").text == "2"
        go.set()
        raw.read_until(b"data: 2\n\n")
        raw.read_until(b"0\r\n\r\n")


def test_a_websocket_outlives_reloads(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream()

    def play(connection: object) -> None:
        connection.request()  # type: ignore[attr-defined]
        connection.send(  # type: ignore[attr-defined]
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while True:
            connection.send(connection.read_exactly(4))  # type: ignore[attr-defined]

    service.script(play)
    proxied = {"name": "p", "paths": ["/"], "service": "s"}
    running = gateway({"services": [{"name": "s", "url": service.url}], "routes": [proxied]})
    with running.raw() as raw:
        raw.send(
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert raw.read_head()[0] == 101
        raw.send(b"one!")
        assert raw.read_exactly(4) == b"one!"
        running.reload({"routes": [respond("new")]})
        assert running.get("/").text == "new"
        raw.send(b"two!")
        assert raw.read_exactly(4) == b"two!"


def test_an_http2_connection_and_its_open_stream_outlive_a_reload(
    gateway: StartGateway, upstream: StartUpstream
) -> None:
    go = threading.Event()
    service = upstream().script(answer_when(go, b"old"))
    proxied = {"name": "p", "paths": ["/"], "service": "s"}
    running = gateway({"services": [{"name": "s", "url": service.url}], "routes": [proxied]})
    with Http2(running.address()) as client:
        client.send(client.head(1))
        service.wait_for_requests()
        running.reload({"routes": [respond("new")]})
        client.send(client.head(3))
        assert body_of(client.answer(3)) == b"new"
        go.set()
        assert body_of(client.answer(1)) == b"old"


def body_of(answer: object) -> bytes:
    assert isinstance(answer, tuple), answer
    body = answer[1]
    assert isinstance(body, bytes)
    return body


def test_a_kept_connection_sees_the_new_document(gateway: StartGateway) -> None:
    running = gateway({"routes": [respond("old")]})
    with running.raw() as raw:
        raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer()[2] == b"old"
        running.reload({"routes": [respond("new")]})
        raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer()[2] == b"new"


def test_sighup_reads_the_document_again(process: StartProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(document("old"))
    running = process(path)
    assert running.get("/").text == "old"
    path.write_text(document("new"))
    running.signal(signal.SIGHUP)
    running.wait_for_log("reloaded")
    assert running.get("/").text == "new"
    path.write_text("routes: [{name: a, path: [/]}]\n")
    running.signal(signal.SIGHUP)
    running.wait_for_log("the running configuration was not changed")
    assert f"{path}:1" in running.log
    assert "did you mean `paths`" in running.log
    assert running.get("/").text == "new"
    ready = running.get("/readyz", "admin").json()
    assert ready["ready"] is True
    assert "did you mean `paths`" in "\n".join(ready["reload_refused"])
    assert 'tidegate_reloads_total{result="refused"} 1' in running.get("/metrics", "admin").text


def test_a_reload_says_which_settings_wait_for_the_next_start(process: StartProcess, tmp_path: Path) -> None:
    ports = "listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: '127.0.0.1:0'}\naccess_log: off\n"
    file = tmp_path / "gateway.yaml"
    file.write_text(ports + "workers: 1\n")
    running = process(file)
    running.address()
    file.write_text(ports.replace("admin: {address: '127.0.0.1:0'}", "admin: off") + "workers: 2\n")
    running.signal(signal.SIGHUP)
    running.wait_for_log("changed setting waits for the next start setting=admin")
    running.wait_for_log("changed setting waits for the next start setting=workers")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def rename(path: Path, text: str) -> None:
    """As most editors save."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text)
    beside.rename(path)


def swap(path: Path, text: str) -> None:
    """As editors save that keep a backup."""
    path.rename(path.with_suffix(".bak"))
    path.write_text(text)


@pytest.mark.parametrize("save", [write, rename, swap])
def test_watch_notices_every_way_of_saving(process: StartProcess, tmp_path: Path, save: object) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(document("0"))
    running = process(path, "--watch")
    assert running.get("/").text == "0"
    for turn in ("1", "2"):
        save(path, document(turn))  # type: ignore[operator]
        eventually(lambda turn=turn: running.get("/").text == turn, f"document {turn}")  # type: ignore[misc]


def test_watch_notices_new_files_of_a_folder(process: StartProcess, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "a.yaml").write_text(document("a"))
    running = process(folder, "--watch")
    assert running.get("/b").text == "a"
    more = folder / "b.yaml"
    more.write_text("routes: [{name: b, paths: [/b], respond: {status: 200, body: b}}]\n")
    eventually(lambda: running.get("/b").text == "b", "the second file")
    more.unlink()
    eventually(lambda: running.get("/b").text == "a", "the end of the second file")


def test_watch_notices_a_changed_secret_behind_a_swapped_link(process: StartProcess, tmp_path: Path) -> None:
    # As Kubernetes renews a mounted secret: the file is a link through `..data`, which is swapped as a whole.
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "word").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "word").symlink_to("..data/word")
    path = tmp_path / "conf" / "gateway.yaml"
    path.parent.mkdir()
    path.write_text(document("'${file:../word}'"))
    running = process(path, "--watch")
    assert running.get("/").text == "one"
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    eventually(lambda: running.get("/").text == "two", "the new secret")


def test_watch_recovers_from_a_bad_document(process: StartProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(document("old"))
    running = process(path, "--watch")
    assert running.get("/").text == "old"
    path.write_text("routes: 7\n")
    running.wait_for_log("the running configuration was not changed")
    assert running.get("/").text == "old"
    path.write_text(document("new"))
    eventually(lambda: running.get("/").text == "new", "the repaired document")


def test_two_processes_hand_a_port_over_without_a_failed_request(process: StartProcess, tmp_path: Path) -> None:
    first = process(document("x"))
    host, port = first.address()
    text = document("x").replace("'127.0.0.1:0'}]", f"'{host}:{port}'}}]", 1)
    with Load(lambda: (host, port)) as load:
        for _ in range(3):
            eventually(lambda: load.done > 100, "some load")
            second = process(text)
            assert second.address() == (host, port)
            done = load.done
            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            eventually(lambda done=done: load.done > done + 100, "load on the next process")  # type: ignore[misc]
            first = second
    assert load.failed == []


def test_a_watched_folder_that_is_replaced_is_watched_on(process: StartProcess, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "a.yaml").write_text(document("old"))
    running = process(folder, "--watch")
    assert running.get("/").text == "old"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "a.yaml").write_text(document("new"))
    shutil.move(folder, tmp_path / "gone")
    os.rename(fresh, folder)
    (folder / "a.yaml").write_text(document("newer"))
    eventually(lambda: running.get("/").text == "newer", "the new folder")
