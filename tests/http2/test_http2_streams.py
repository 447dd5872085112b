"""One stream of a client: its body, its answer, and how it ends."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from tests.conftest import Proxy, StartGateway, StartUpstream
from tests.harness import Connection, eventually
from tests.http2.raw import Raw

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0, 2, 7, 8
MIB = 1 << 20


def test_a_body_and_its_trailers_arrive_as_chunks(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1, ("te", "trailers"), end=False, pseudo={"method": "POST"}))
        raw.send(
            raw.data(1, b"hello "), raw.data(1, b"world"), raw.trailers(1, ("x-sum", "11"), ("authorization", "no"))
        )
        assert isinstance(raw.answer(1), tuple)
    asked = service.last
    assert (asked.method, asked.body) == ("POST", b"hello world")
    assert b"x-sum: 11\r\n" in asked.raw
    assert b"authorization" not in asked.raw


def test_a_body_of_known_length_keeps_it(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with Raw(proxy(service).address()) as raw:
        raw.send(
            raw.head(1, ("content-length", "5"), end=False, pseudo={"method": "PUT"}), raw.data(1, b"hello", end=True)
        )
        assert isinstance(raw.answer(1), tuple)
    assert (service.last.header("content-length"), service.last.body) == ("5", b"hello")


def test_cookies_in_pieces_arrive_as_one(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1, ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")))
        assert isinstance(raw.answer(1), tuple)
    assert service.last.header("cookie") == "a=1; b=2"


def test_trailers_of_an_answer_arrive(proxy: Proxy, upstream: StartUpstream) -> None:
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
    service = upstream().answer(head + "2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n")
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1, ("te", "trailers")))
        answer = raw.answer(1)
    assert isinstance(answer, tuple)
    fields, body = answer
    assert (fields[":status"], fields["x-sum"], body) == ("200", "2", b"ok")
    assert not {"transfer-encoding", "trailer", "connection"} & set(fields)


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", "7"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", "7"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "0"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(
    proxy: Proxy, upstream: StartUpstream, method: str, answer: str, length: str | None
) -> None:
    with Raw(proxy(upstream().answer(answer)).address()) as raw:
        raw.send(raw.head(1, pseudo={"method": method}))
        frame = raw.until(HeadersFrame)
        assert isinstance(frame, HeadersFrame)
        assert "END_STREAM" in frame.flags
        assert raw.fields(frame).get("content-length") == length


def test_interim_answers_are_passed_on(proxy: Proxy, upstream: StartUpstream) -> None:
    hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    service = upstream().answer(hints + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1))
        statuses: list[str] = []
        while not statuses or statuses[-1] != "200":
            frame = raw.until(HeadersFrame)
            assert isinstance(frame, HeadersFrame)
            statuses.append(raw.fields(frame)[":status"])
    assert statuses == ["103", "200"]


def test_a_body_that_waits_is_asked_for(proxy: Proxy, upstream: StartUpstream) -> None:
    def ask(connection: Connection) -> None:
        head = connection.request_head()
        assert head is not None
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
        assert connection.read_exactly(5) == b"hello"
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with Raw(proxy(upstream().script(ask)).address()) as raw:
        expects = (("expect", "100-continue"), ("content-length", "5"))
        raw.send(raw.head(1, *expects, end=False, pseudo={"method": "POST"}))
        frame = raw.until(HeadersFrame)
        assert isinstance(frame, HeadersFrame)
        assert raw.fields(frame)[":status"] == "100"
        raw.send(raw.data(1, b"hello", end=True))
        answer = raw.answer(1)
        assert isinstance(answer, tuple)
        assert answer[1] == b"ok"


def test_an_early_answer_tells_the_client_to_stop(proxy: Proxy, upstream: StartUpstream) -> None:
    def refuse(connection: Connection) -> None:
        connection.request_head()
        connection.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        connection.hang()

    with Raw(proxy(upstream().script(refuse)).address()) as raw:
        raw.send(raw.head(1, end=False, pseudo={"method": "POST"}), raw.data(1, b"much more to come"))
        answer = raw.answer(1)
        assert isinstance(answer, tuple)
        assert (answer[0][":status"], answer[1]) == ("403", b"no")
        reset = raw.until(RstStreamFrame)
        assert isinstance(reset, RstStreamFrame)
        assert reset.error_code == NO_ERROR


def test_a_body_over_the_limit_is_413(proxy: Proxy, upstream: StartUpstream) -> None:
    with Raw(proxy(upstream(), route={"max_body": 10}).address()) as raw:
        raw.send(raw.head(1, end=False, pseudo={"method": "POST"}), raw.data(1, b"x" * 11))
        answer = raw.answer(1)
        assert isinstance(answer, tuple)
        assert answer[0][":status"] == "413"
        raw.send(raw.head(3, ("content-length", "11"), end=False, pseudo={"method": "POST"}))
        answer = raw.answer(3)
        assert isinstance(answer, tuple)
        assert answer[0][":status"] == "413"


def test_an_answer_that_breaks_off_is_reset(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream().answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf")
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1))
        assert raw.answer(1) == INTERNAL_ERROR
        raw.send(raw.head(3))
        assert raw.answer(3) == INTERNAL_ERROR, "the connection goes on"


def test_a_client_that_resets_its_stream_cancels_the_request(proxy: Proxy, upstream: StartUpstream) -> None:
    service = upstream()
    begun = threading.Event()

    def wait(connection: Connection) -> None:
        connection.request()
        begun.set()
        connection.hang()

    service.script(wait)
    with Raw(proxy(service).address()) as raw:
        raw.send(raw.head(1))
        assert begun.wait(10)
        raw.send(RstStreamFrame(1, error_code=CANCEL))
        service.wait_for_closed()
        service.script(service._answer_all)
        raw.send(raw.head(3))
        assert isinstance(raw.answer(3), tuple), "the connection goes on"


def test_more_streams_than_allowed_are_refused(gateway: StartGateway, upstream: StartUpstream) -> None:
    service = upstream().script(lambda connection: connection.hang())
    document = {
        "listeners": [{"address": "127.0.0.1:0", "limits": {"http2": {"streams": 2}}}],
        "services": [{"name": "service", "url": service.url}],
        "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
    }
    with Raw(gateway(document).address()) as raw:
        raw.greet()
        raw.send(raw.head(1), raw.head(3), raw.head(5))
        assert raw.answer(5) == REFUSED_STREAM


def test_a_slow_reader_holds_its_service_back(proxy: Proxy, upstream: StartUpstream) -> None:
    """With a stream window of 64 KiB that never opens, what the service can send is bounded by sockets and buffers."""
    sent = 0

    def pour(connection: Connection) -> None:
        nonlocal sent
        connection.request()
        connection.send(f"HTTP/1.1 200 OK\r\ncontent-length: {64 * MIB}\r\n\r\n")
        for _ in range(64 * 16):
            connection.send(b"x" * 65536)
            sent += 65536

    with Raw(proxy(upstream().script(pour)).address(), credit=False) as raw:
        raw.send(raw.head(1))
        received = 0
        while received < 65535:
            frame = raw.until(DataFrame)
            assert isinstance(frame, DataFrame)
            received += len(frame.data)
        before = -1

        def settled() -> bool:
            nonlocal before
            before, was = sent, before
            return sent == was

        eventually(settled, "an end of what the service can send")
        assert sent < 24 * MIB
        raw.send(WindowUpdateFrame(1, window_increment=MIB), WindowUpdateFrame(0, window_increment=MIB))
        assert isinstance(raw.until(DataFrame), DataFrame)


def test_a_slow_service_holds_its_client_back(proxy: Proxy, upstream: StartUpstream) -> None:
    """The window of a stream is given back only as the service takes the bytes."""
    release = threading.Event()

    def dawdle(connection: Connection) -> None:
        connection.request_head()
        release.wait(20)
        connection.read_chunked()
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with Raw(proxy(upstream().script(dawdle), route={"max_body": "1GiB"}).address()) as raw:
        raw.greet()
        raw.send(raw.head(1, end=False, pseudo={"method": "POST"}))
        credit = {0: raw.window(0), 1: raw.window(1)}
        total = 0
        while min(credit.values()) > 0 or raw.readable(0.3):
            size = min(16384, *credit.values())
            if size > 0:
                raw.send(raw.data(1, b"x" * size))
                credit = {stream: left - size for stream, left in credit.items()}
                total += size
            for frame in raw.waiting():
                if isinstance(frame, WindowUpdateFrame):
                    credit[frame.stream_id] += frame.window_increment
        assert total < 24 * MIB
        release.set()
        raw.send(raw.data(1, b"", end=True))
        answer = raw.answer(1)
        assert isinstance(answer, tuple)
        assert answer[1] == b"ok"


def test_a_drain_says_goaway_and_finishes_what_is_open(proxy: Proxy, upstream: StartUpstream) -> None:
    begun, release = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        connection.request()
        begun.set()
        release.wait(20)
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    running = proxy(upstream().script(wait))
    with Raw(running.address()) as raw, ThreadPoolExecutor(1) as threads:
        raw.send(raw.head(1))
        assert begun.wait(10)
        drained = threads.submit(running.drain, 10_000)
        said: list[Frame] = []
        goaway = raw.until(GoAwayFrame)
        assert isinstance(goaway, GoAwayFrame)
        assert goaway.error_code == NO_ERROR
        release.set()
        said.extend(raw.frames())
        assert any(isinstance(frame, DataFrame) and frame.data == b"ok" for frame in said)
        assert drained.result(10)


def test_an_open_connection_sees_the_next_document(gateway: StartGateway) -> None:
    def document(text: str) -> dict[str, object]:
        return {"routes": [{"name": "hello", "paths": ["/"], "respond": {"body": text}}]}

    running = gateway(document("before"))
    with Raw(running.address()) as raw:
        raw.send(raw.head(1))
        before = raw.answer(1)
        running.reload(document("after"))
        raw.send(raw.head(3))
        after = raw.answer(3)
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    assert (before[1], after[1]) == (b"before", b"after")
