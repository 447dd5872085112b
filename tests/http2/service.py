"""A service that speaks HTTP/2 with prior knowledge and does as a test tells it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, PingReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings


@dataclass
class Asked:
    """A request as it came, on its connection."""

    connection: Connection
    stream: int
    fields: dict[str, str]
    body: bytes = b""

    def answer(self, status: int = 200, body: bytes = b"", *more: tuple[str, str]) -> None:
        """Sends a whole answer."""
        self.connection.h2.send_headers(self.stream, [(":status", str(status)), *more], end_stream=not body)
        if body:
            self.connection.h2.send_data(self.stream, body, end_stream=True)
        self.connection.flush()


Script = Callable[[Asked], None]


@dataclass
class Connection:
    """One connection of the gateway's."""

    socket: socket.socket
    h2: H2Connection
    number: int
    requests: int = 0
    resets: list[int] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def flush(self) -> None:
        """Writes what h2 has to say."""
        with self.lock, suppress(OSError):
            self.socket.sendall(self.h2.data_to_send())


class Service:
    """Calls the script with each whole request, on a thread of the connection's."""

    def __init__(self, script: Script, streams: int = 100) -> None:
        self._script = script
        self._streams = streams
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[Connection] = []
        self.changed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends every connection."""
        # A shutdown wakes the thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def wait(self, until: Callable[[], bool], seconds: float = 10) -> bool:
        """Waits until something about the connections is so."""
        with self.changed:
            return self.changed.wait_for(until, seconds)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: self._streams})
        h2.initiate_connection()
        connection = Connection(accepted, h2, len(self.connections))
        with self.changed:
            self.connections.append(connection)
            self.changed.notify_all()
        connection.flush()
        asked: dict[int, Asked] = {}
        with suppress(OSError, ProtocolError):
            while data := accepted.recv(65536):
                with connection.lock:
                    events = h2.receive_data(data)
                for event in events:
                    self._handle(connection, asked, event)
                connection.flush()
        accepted.close()

    def _handle(self, connection: Connection, asked: dict[int, Asked], event: Event) -> None:
        match event:
            case RequestReceived():
                fields = {str(name): str(value) for name, value in event.headers}
                asked[event.stream_id] = Asked(connection, event.stream_id, fields)
            case DataReceived():
                asked[event.stream_id].body += event.data
                connection.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                connection.requests += 1
                self._script(asked[event.stream_id])
            case StreamReset():
                connection.resets.append(event.stream_id)
            case PingReceived() | ConnectionTerminated() | _:
                pass
        with self.changed:
            self.changed.notify_all()


@contextmanager
def service(script: Script, *, streams: int = 100) -> Iterator[Service]:
    """A service while the block runs."""
    running = Service(script, streams)
    try:
        yield running
    finally:
        running.close()
