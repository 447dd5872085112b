"""WebSockets pass through, whichever HTTP each side speaks (RFC 6455, RFC 8441)."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from types import TracebackType

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from tidegate import Gateway, Respond, Route, Service
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.sync.client import connect

from tests.harness import RunningGateway, serving

LARGE = 1 << 20


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server that echoes, and the fields of the requests it got."""
    asked: list[dict[str, str]] = []
    loop = asyncio.new_event_loop()

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    def note(_: ServerConnection, request: Request) -> None:
        asked.append({name.lower(): value for name, value in request.headers.raw_items()})

    async def start() -> Server:
        return await serve(echo, "127.0.0.1", 0, process_request=note, max_size=2 * LARGE, subprotocols=["chat"])  # type: ignore[list-item]

    async def stop(server: Server) -> None:
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield int(next(iter(server.sockets)).getsockname()[1]), asked
    asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def gateway(url: str, protocol: str) -> Gateway:
    service = Service.model_validate({"name": "chat", "url": url, "protocol": protocol})
    return Gateway(
        services=[service],
        routes=[
            Route(name="chat", paths=["/chat"], methods=["GET"], service="chat", strip_path=False),
            Route(name="plain", paths=["/plain"], respond=Respond(body="no socket here")),
        ],
    )


@pytest.fixture(scope="module")
def to_http1(behind: tuple[int, list[dict[str, str]]]) -> Iterator[RunningGateway]:
    with serving(gateway(f"http://127.0.0.1:{behind[0]}", "http1")) as served:
        yield served


@pytest.fixture(scope="module", params=["http1", "h2"])
def served(request: pytest.FixtureRequest, to_http1: RunningGateway) -> Iterator[RunningGateway]:
    """A gateway in front of the server, or in front of a gateway that is, and speaks HTTP/2 to it."""
    if request.param == "http1":
        yield to_http1
        return
    with serving(gateway(to_http1.url, "h2")) as served:
        yield served


def test_messages_pass_for_a_client_of_http1(served: RunningGateway) -> None:
    host, port = served.address()
    with connect(f"ws://{host}:{port}/chat", max_size=2 * LARGE, subprotocols=["chat"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "chat"
        for message in ("hello", b"\0\1", "x" * LARGE, ""):
            client.send(message)
            assert client.recv(10) == message


def test_an_answer_that_is_no_switch_is_passed_on(served: RunningGateway) -> None:
    host, port = served.address()
    with pytest.raises(InvalidStatus) as raised:
        connect(f"ws://{host}:{port}/plain")
    assert raised.value.response.status_code == 200


class Http2Client:
    """A WebSocket over one stream of HTTP/2."""

    def __init__(self, address: tuple[str, int], path: str = "/chat") -> None:
        self.socket = socket.create_connection(address)
        self.socket.settimeout(10)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.until(RemoteSettingsChanged)
        assert self.h2.remote_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path)]
        asked = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")]
        self.h2.send_headers(1, [*fields, (":authority", "gateway.test"), *asked])
        answer = self.until(ResponseReceived, StreamReset)
        assert isinstance(answer, ResponseReceived)
        self.fields = {str(name): str(value) for name, value in answer.headers}

    def __enter__(self) -> Http2Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def until(self, *kinds: type[Event]) -> Event:
        while True:
            self.socket.sendall(self.h2.data_to_send())
            data = self.socket.recv(65536)
            assert data, "the connection ended"
            events = self.h2.receive_data(data)
            for event in events:
                if isinstance(event, DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, 1)
            if found := next((event for event in events if isinstance(event, kinds)), None):
                self.socket.sendall(self.h2.data_to_send())
                return found

    def send(self, opcode: Opcode, payload: bytes, *, end: bool = False) -> None:
        self.h2.send_data(1, Frame(opcode, payload).serialize(mask=True, extensions=[]), end_stream=end)


def test_messages_pass_for_a_client_of_http2(served: RunningGateway, behind: tuple[int, list[dict[str, str]]]) -> None:
    with Http2Client(served.address()) as client:
        assert client.fields[":status"] == "200"
        assert not {"upgrade", "connection", "sec-websocket-accept"} & set(client.fields)
        asked = behind[1][-1]
        assert (asked["upgrade"], asked["connection"].lower(), asked["sec-websocket-version"]) == (
            "websocket",
            "upgrade",
            "13",
        )
        client.send(Opcode.BINARY, b"hello")
        event = client.until(DataReceived)
        assert isinstance(event, DataReceived)
        assert event.data == Frame(Opcode.BINARY, b"hello").serialize(mask=False, extensions=[])
        client.send(Opcode.CLOSE, b"\x03\xe8", end=True)
        assert isinstance(client.until(StreamEnded, StreamReset), StreamEnded)


def test_a_success_that_is_no_switch_is_no_success_over_http2(to_http1: RunningGateway) -> None:
    with Http2Client(to_http1.address(), "/plain") as client:
        assert client.fields[":status"] == "502"
