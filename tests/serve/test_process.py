"""The process: start, signals, drain, exit codes."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hyperframe.frame import GoAwayFrame
from tidegate.serve.open_files import ROOM

from tests.conftest import StartProcess, StartProgram, StartUpstream
from tests.harness import Raw, eventually
from tests.harness.upstream import answer_when, hang_before_head
from tests.http2.raw import Raw as Http2

PORTS = "listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: '127.0.0.1:0'}\naccess_log: off\n"
HELLO = PORTS + "routes: [{name: a, paths: [/], respond: {status: 200, body: hello}}]\n"


def refused(address: tuple[str, int]) -> bool:
    try:
        Raw(address).close()
    except ConnectionRefusedError:
        return True
    return False


def slow(service_url: str) -> str:
    return PORTS + (
        f"services: [{{name: s, url: '{service_url}'}}]\n"
        "routes:\n  - {name: s, paths: [/slow], service: s}\n"
        "  - {name: a, paths: [/], respond: {status: 200, body: hello}}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_ends_with_0(
    process: StartProcess, upstream: StartUpstream, number: signal.Signals
) -> None:
    go = threading.Event()
    service = upstream().script(answer_when(go, b"done"))
    running = process(slow(service.url))
    address = running.address()
    with running.raw() as busy, running.raw() as idle:
        idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.read_answer()[2] == b"hello"
        busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        running.signal(number)
        running.wait_for_log("draining")
        eventually(lambda: refused(address), "the end of accepting")
        assert idle.is_closed()
        assert running.process.poll() is None
        go.set()
        status, headers, body = busy.read_answer()
        assert (status, headers["connection"], body) == (200, "close", b"done")
    assert running.wait() == 0
    assert f"stopped pid={running.process.pid}" in running.log.splitlines()[-1]


def test_a_drain_says_goaway_and_finishes_the_streams(process: StartProcess, upstream: StartUpstream) -> None:
    go = threading.Event()
    service = upstream().script(answer_when(go, b"done"))
    running = process(slow(service.url))
    with Http2(running.address()) as raw:
        raw.send(raw.head(1, pseudo={"path": "/slow"}))
        service.wait_for_requests()
        running.signal(signal.SIGTERM)
        assert any(isinstance(frame, GoAwayFrame) and frame.error_code == 0 for frame in raw.frames())
        go.set()
        answer = raw.answer(1)
        assert isinstance(answer, tuple)
        assert (answer[0][":status"], answer[1]) == ("200", b"done")
    assert running.wait() == 0


def test_the_second_signal_stops_at_once(process: StartProcess, upstream: StartUpstream) -> None:
    service = upstream()
    service.script(hang_before_head)
    running = process(slow(service.url))
    with running.raw() as raw:
        raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        running.signal(signal.SIGTERM)
        running.wait_for_log("draining")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert "stopping at once" in running.log


def test_a_drain_ends_when_its_time_is_over(process: StartProcess, upstream: StartUpstream) -> None:
    service = upstream()
    service.script(hang_before_head)
    running = process(slow(service.url) + "drain_timeout: 50ms\n")
    with running.raw() as raw:
        raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        service.wait_for_requests()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        raw.read_all()
    assert "drain timed out" in running.log


def test_the_block_at_the_start_says_where_it_listens(process: StartProcess) -> None:
    running = process(HELLO, "--workers", "1")
    host, port = running.address()
    running.wait_for_log("  admin\n")
    first, second, third, *_ = running.log.splitlines()
    assert first.startswith("tidegate 0.1.0  1 worker  ready in ")
    assert second.startswith(f"  http://{host}:{port}")
    assert third.endswith("  admin")


def test_a_port_in_use_is_one_line_with_a_hint(process: StartProcess, upstream: StartUpstream) -> None:
    host, port = upstream().address
    running = process(HELLO.replace("127.0.0.1:0", f"{host}:{port}", 1))
    assert running.wait() == 1
    line, hint = running.log.splitlines()
    assert line == f"cannot listen on {host}:{port}: address already in use"
    assert hint.startswith("  hint: another process has this port")


def test_a_bad_document_ends_with_every_problem_and_1(process: StartProcess) -> None:
    running = process("routes:\n  - {name: a, paths: [/], service: b}\n  - {name: a, paths: [/x], service: b}\n")
    assert running.wait() == 1
    assert running.log.count("[config.") == 3
    assert "nothing was started" in running.log


def test_an_admin_port_in_use_starts_nothing(process: StartProcess, upstream: StartUpstream) -> None:
    host, port = upstream().address
    text = HELLO.replace("admin: {address: '127.0.0.1:0'}", f"admin: {{address: '{host}:{port}'}}")
    running = process(text)
    assert running.wait() == 1
    assert running.log.startswith(f"cannot listen on {host}:{port}")


# For clients they share a port, so that one can take over; on the admin port nobody could tell which one answers.
def test_two_gateways_do_not_share_an_admin_port(process: StartProcess) -> None:
    first = process(HELLO)
    host, port = first.address()
    admin = "{}:{}".format(*first.listening()["admin"])
    shared = HELLO.replace("127.0.0.1:0", f"{host}:{port}", 1)
    second = process(shared.replace("admin: {address: '127.0.0.1:0'}", f"admin: {{address: '{admin}'}}"))
    assert second.wait() == 1
    line, hint = second.log.splitlines()
    assert line == f"cannot listen on {admin}: address already in use"
    assert "give this one another `admin` address" in hint
    assert first.get("/livez", "admin").status == 200
    third = process(shared)
    assert third.get("/").text == "hello"


def test_as_many_files_may_be_open_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(HELLO)
    command = 'ulimit -Sn 256; exec "$0" -m tidegate run "$1"'
    with subprocess.Popen(["sh", "-c", command, sys.executable, path], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "ready in" in running.stderr.readline()
        soft, hard = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        status = Path(f"/proc/{running.pid}/status")
        size = next((line for line in status.read_text().splitlines() if line.startswith("FDSize:")), None)
        running.terminate()
        assert running.wait() == 0
    assert soft == hard > 256
    # A table that grows under load holds the worker up that needs the next descriptor.
    assert size is not None
    assert int(size.split()[1]) >= min(ROOM, hard)


def test_handlers_beside_the_document_are_found(process: StartProcess, tmp_path: object) -> None:
    (tmp_path / "beside.py").write_text(  # type: ignore[operator]
        "import time\n"
        "async def hello(request):\n    return {'hello': request.params['name']}\n"
        "async def spin(request):\n    while True:\n        pass\n"
    )
    path = tmp_path / "gateway.yaml"  # type: ignore[operator]
    path.write_text(
        PORTS + "routes:\n  - {name: h, paths: ['/h/{name}'], handler: 'beside:hello'}\n"
        "  - {name: spin, paths: [/spin], handler: 'beside:spin'}\n"
        "  - {name: native, paths: [/native], respond: {status: 200, body: native}}\n"
    )
    running = process(path)
    assert running.get("/h/ada").json() == {"hello": "ada"}


def test_a_handler_that_spins_stops_neither_routes_nor_operators(process: StartProcess, tmp_path: object) -> None:
    test_handlers_beside_the_document_are_found(process, tmp_path)
    path = tmp_path / "gateway.yaml"  # type: ignore[operator]
    running = process(path)
    with running.raw() as raw:
        raw.send("GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(20):
            assert running.get("/native").text == "native"
        assert running.get("/livez", "admin").status == 200
        assert running.get("/readyz", "admin").json()["ready"] is True
        assert b"tidegate_requests_total" in running.get("/metrics", "admin").body
        running.signal(signal.SIGTERM)
        running.wait_for_log("draining")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


PROGRAM = """
import asyncio, json, urllib.request
from tidegate import Gateway, Listener, Respond, Route

async def hello(request):
    return {"loop": asyncio.get_running_loop() is loop, "task": asyncio.current_task() is not None}

def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()

async def main():
    global loop
    loop = asyncio.get_running_loop()
    gateway = Gateway(routes=[Route(name="h", paths=["/h"], handler=hello)], access_log="off")
    async with gateway.serve() as running:
        first = json.loads(await asyncio.to_thread(get, running.url + "/h"))
        await running.reload(Gateway(routes=[Route(name="r", paths=["/"], respond=Respond(status=200, body="new"))]))
        second = await asyncio.to_thread(get, running.url + "/h")
        host, port = running.address()
        drained = await running.drain(5)
    print(json.dumps([first, second, running.admin_url, drained]))

asyncio.run(main())
"""


RUN = """
from tidegate import Admin, Gateway, Listener, Respond, Route

gateway = Gateway(
    listeners=[Listener(address="127.0.0.1:0")],
    admin=Admin(address="127.0.0.1:0"),
    access_log="off",
    workers=2,
    routes=[Route(name="a", paths=["/"], respond=Respond(body="hello"))],
)
if __name__ == "__main__":
    raise SystemExit(gateway.run(workers=1))
"""


def test_a_program_runs_its_gateway_until_it_is_told_to_stop(program: StartProgram) -> None:
    running = program(RUN)
    assert running.get("/").text == "hello"
    assert running.get("/readyz", "admin").json()["ready"] is True
    assert "  1 worker  " in running.log
    running.signal(signal.SIGHUP)
    running.wait_for_log("reloaded reason=SIGHUP")
    assert running.get("/").text == "hello"
    running.signal(signal.SIGTERM)
    assert running.wait() == 0


def test_a_program_whose_gateway_has_problems_ends_with_1(program: StartProgram) -> None:
    running = program(RUN.replace('paths=["/"]', 'paths=["~("], headers={"x y": "1"}'))
    assert running.wait() == 1
    assert "routes[0].paths[0]: " in running.log
    assert running.log.endswith("2 problems; nothing was started\n")
    assert "Traceback" not in running.log


def test_serve_runs_handlers_on_the_loop_of_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [{"loop": True, "task": True}, "new", None, True]
