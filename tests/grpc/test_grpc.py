"""gRPC passes through: a real client, a real server, the gateway between them over h2c and over TLS."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from tidegate import Gateway, Listener, Route, Service

from tests.harness import serving
from tests.tls.certificates import Authority

SECONDS = 10


def raw(message: bytes) -> bytes:
    """Messages stay bytes: no generated code."""
    return message


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The methods of the tests, by name."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        service, method_name = details.method.removeprefix("/").split("/")
        assert service == "echo.Echo"
        method = getattr(self, method_name, None)
        return None if method is None else method()

    def unary(self) -> Any:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.send_initial_metadata((("x-initial", "first"),))
            context.set_trailing_metadata((("x-trailing", "last"), ("x-bytes-bin", b"\0\xff")))
            return b"echo:" + request

        return grpc.unary_unary_rpc_method_handler(answer, raw, raw)

    def fails(self) -> Any:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such order: ü")
            raise AssertionError

        return grpc.unary_unary_rpc_method_handler(answer, raw, raw)

    def waits(self) -> Any:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            left = threading.Event()
            context.add_callback(left.set)
            left.wait(SECONDS)
            self.cancelled.set()
            return b""

        return grpc.unary_unary_rpc_method_handler(answer, raw, raw)

    def remaining(self) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda _, context: str(context.time_remaining()).encode(), raw, raw)

    def down(self) -> Any:
        return grpc.unary_stream_rpc_method_handler(
            lambda count, _: (b"x" * 50_000 for _ in range(int(count))), raw, raw
        )

    def up(self) -> Any:
        return grpc.stream_unary_rpc_method_handler(lambda sent, _: str(sum(map(len, sent))).encode(), raw, raw)

    def both(self) -> Any:
        return grpc.stream_stream_rpc_method_handler(lambda sent, _: (b"re:" + message for message in sent), raw, raw)


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Echo, int]]:
    echo = Echo()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield echo, port
    server.stop(0)


@pytest.fixture(scope="module", params=["h2c", "tls"])
def channel(
    request: pytest.FixtureRequest, behind: tuple[Echo, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[grpc.Channel]:
    authority = Authority(Path(tmp_path_factory.mktemp("grpc")))
    issued = authority.issue("localhost")
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)} if request.param == "tls" else None
    gateway = Gateway(
        listeners=[Listener.model_validate({"address": "127.0.0.1:0", "tls": tls})],
        services=[Service(name="echo", url=f"http://127.0.0.1:{behind[1]}", protocol="h2")],
        routes=[Route(name="echo", paths=["/echo.Echo"], service="echo", strip_path=False, max_body="1GiB")],
    )
    with serving(gateway) as served:
        host, port = served.address()
        if tls is None:
            made = grpc.insecure_channel(f"{host}:{port}")
        else:
            credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
            options = [("grpc.ssl_target_name_override", "localhost")]
            made = grpc.secure_channel(f"{host}:{port}", credentials, options)
        with made as channel:
            yield channel


def unary(channel: grpc.Channel, method: str) -> Any:
    return channel.unary_unary(f"/echo.Echo/{method}", raw, raw)


def test_a_call_keeps_its_metadata_and_trailers(channel: grpc.Channel) -> None:
    answer, call = unary(channel, "unary").with_call(b"hi", timeout=SECONDS)
    assert answer == b"echo:hi"
    assert ("x-initial", "first") in call.initial_metadata()
    assert {("x-trailing", "last"), ("x-bytes-bin", b"\0\xff")} <= set(call.trailing_metadata())


@pytest.mark.parametrize(
    ("method", "status", "details"),
    [
        ("fails", grpc.StatusCode.NOT_FOUND, "no such order: ü"),
        ("absent", grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
    ],
)
def test_a_status_without_a_message_arrives(
    channel: grpc.Channel, method: str, status: grpc.StatusCode, details: str
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        unary(channel, method)(b"", timeout=SECONDS)
    assert (raised.value.code(), raised.value.details()) == (status, details)


def test_the_service_knows_the_deadline(channel: grpc.Channel) -> None:
    assert 4 < float(unary(channel, "remaining")(b"", timeout=5)) < 6


def test_a_deadline_ends_the_call_at_the_service(channel: grpc.Channel, behind: tuple[Echo, int]) -> None:
    behind[0].cancelled.clear()
    with pytest.raises(grpc.RpcError) as raised:
        unary(channel, "waits")(b"", timeout=0.2)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert behind[0].cancelled.wait(SECONDS)


def test_a_cancelled_call_is_cancelled_at_the_service(channel: grpc.Channel, behind: tuple[Echo, int]) -> None:
    behind[0].cancelled.clear()
    calls = unary(channel, "waits").future(b"")
    assert unary(channel, "unary")(b"", timeout=SECONDS) == b"echo:"
    calls.cancel()
    assert behind[0].cancelled.wait(SECONDS)


def test_messages_stream_down(channel: grpc.Channel) -> None:
    assert sum(map(len, channel.unary_stream("/echo.Echo/down", raw, raw)(b"200", timeout=SECONDS))) == 200 * 50_000


def test_messages_stream_up(channel: grpc.Channel) -> None:
    sent = (b"y" * 50_000 for _ in range(200))
    assert channel.stream_unary("/echo.Echo/up", raw, raw)(sent, timeout=SECONDS) == str(200 * 50_000).encode()


def test_messages_stream_both_ways_one_by_one(channel: grpc.Channel) -> None:
    sent: queue.Queue[bytes | None] = queue.Queue()
    answers = channel.stream_stream("/echo.Echo/both", raw, raw)(iter(sent.get, None), timeout=SECONDS)
    for index in range(50):
        sent.put(str(index).encode())
        assert next(answers) == f"re:{index}".encode()
    sent.put(None)
    assert list(answers) == []


def test_many_calls_at_a_time(channel: grpc.Channel) -> None:
    calls = [unary(channel, "unary").future(str(index).encode(), timeout=SECONDS) for index in range(300)]
    assert [call.result() for call in calls] == [f"echo:{index}".encode() for index in range(300)]
