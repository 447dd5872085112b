"""A client that writes HTTP/2 frames of its own making, right or wrong."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Pseudo = dict[str, str | None]


class Raw:
    """One connection. Frames of the gateway that nobody waits for are passed over."""

    def __init__(self, address: tuple[str, int], *, credit: bool = True) -> None:
        """`credit`: give back the window that data takes, at once."""
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._credit = credit
        self._windows = {0: 65535}
        self._initial_window = 65535
        self.socket.settimeout(10)
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._buffer = b""
        self.socket.sendall(PREFACE + SettingsFrame(0).serialize())

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *frames: Frame | bytes) -> None:
        """Sends frames; a connection that the gateway has closed takes them silently."""
        data = b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
        with suppress(OSError):
            self.socket.sendall(data)

    def head(
        self, stream: int, *more: tuple[str, str], end: bool = True, whole: bool = True, pseudo: Pseudo | None = None
    ) -> HeadersFrame:
        """A HEADERS frame of a GET; `pseudo` changes its method, path, scheme or authority, `None` leaves one out."""
        base: Pseudo = {"method": "GET", "path": "/", "scheme": "http", "authority": "gateway.test"}
        base |= pseudo or {}
        fields = [(f":{name}", value) for name, value in base.items() if value is not None]
        frame = HeadersFrame(stream, self._encoder.encode([*fields, *more], huffman=False))
        if whole:
            frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def data(self, stream: int, payload: bytes, *, end: bool = False) -> DataFrame:
        """A DATA frame."""
        frame = DataFrame(stream, payload)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def frames(self) -> Iterator[Frame]:
        """What the gateway sends, until it closes; SETTINGS and PING are acknowledged."""
        while True:
            while (frame := self._take()) is not None:
                match frame:
                    case SettingsFrame() if "ACK" not in frame.flags:
                        self._initial_window = frame.settings.get(
                            SettingsFrame.INITIAL_WINDOW_SIZE, self._initial_window
                        )
                        self.send(SettingsFrame(0, flags=["ACK"]))
                    case PingFrame() if "ACK" not in frame.flags:
                        self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
                    case DataFrame() if frame.data and self._credit:
                        self.send(
                            *(WindowUpdateFrame(at, window_increment=len(frame.data)) for at in (0, frame.stream_id))
                        )
                    case WindowUpdateFrame() if frame.stream_id == 0:
                        self._windows[0] += frame.window_increment
                    case _:
                        pass
                yield frame
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                return
            if not more:
                return
            self._buffer += more

    def _take(self) -> Frame | None:
        if len(self._buffer) < 9:
            return None
        frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
        if len(self._buffer) < 9 + length:
            return None
        frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
        self._buffer = self._buffer[9 + length :]
        return frame

    def until(self, *kinds: type[Frame]) -> Frame | None:
        """The next frame of one of these kinds; `None` when the gateway closes before."""
        return next((frame for frame in self.frames() if isinstance(frame, kinds)), None)

    def trailers(self, stream: int, *fields: tuple[str, str]) -> HeadersFrame:
        """A HEADERS frame that ends a body."""
        frame = HeadersFrame(stream, self._encoder.encode(list(fields), huffman=False))
        frame.flags.add("END_HEADERS")
        frame.flags.add("END_STREAM")
        return frame

    def fields(self, frame: HeadersFrame) -> dict[str, str]:
        """The fields of a head that came."""
        return {str(name): str(value) for name, value in self._decoder.decode(frame.data)}

    def window(self, stream: int) -> int:
        """What the gateway takes on a new stream, or (0) on the connection, before it gives credit. After `greet`."""
        return self._windows[0] if stream == 0 else self._initial_window

    def waiting(self) -> Iterator[Frame]:
        """The frames that have come already."""
        while self.readable(0):
            if (frame := self._take()) is not None:
                yield frame
            elif more := self.socket.recv(65536):
                self._buffer += more
            else:
                return

    def greet(self) -> None:
        """Takes the gateway's SETTINGS and its acknowledgement of ours, so that only answers are left to come."""
        self.until(SettingsFrame)
        self.until(SettingsFrame)

    def readable(self, seconds: float) -> bool:
        """Whether the gateway says something within that time."""
        return bool(self._buffer or select.select([self.socket], [], [], seconds)[0])

    def ends_with(self) -> int | None:
        """Reads to the end of the connection; the error code of the last GOAWAY."""
        codes = [frame.error_code for frame in self.frames() if isinstance(frame, GoAwayFrame)]
        return codes[-1] if codes else None

    def answer(self, stream: int) -> tuple[dict[str, str], bytes] | int | None:
        """Fields and body of the final answer of a stream, or the code of its reset; `None` when all ends."""
        fields: dict[str, str] | None = None
        body = b""
        for frame in self.frames():
            if isinstance(frame, GoAwayFrame) and frame.error_code:
                return None
            if frame.stream_id != stream:
                continue
            if isinstance(frame, RstStreamFrame):
                return int(frame.error_code)
            if isinstance(frame, HeadersFrame):
                found = self.fields(frame)
                if fields is None and found.get(":status", "").startswith("1"):
                    continue
                fields = (fields or {}) | found
            if isinstance(frame, DataFrame):
                body += frame.data
            if "END_STREAM" in frame.flags:
                return fields or {}, body
        return None
