"""A name server that says what a test tells it to, well-behaved or not."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing

A, CNAME, AAAA, SRV = 1, 5, 28, 33

Misbehaviour = Callable[[bytes, bytes], list[bytes]]
"""Makes what is sent of a question and its proper answer."""


class FakeDns:
    """Answers over UDP and TCP on one port of loopback. Names without records do not exist."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[tuple[int, bytes]]] = {}
        self.asked: list[tuple[str, int]] = []
        """Name and type of every question, in order."""
        self.over_tcp = 0
        self.misbehave: Misbehaviour | None = None
        self.silent = False
        self._udp, self._tcp = _sockets()
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._udp.getsockname()[1]}"

    def addresses(self, name: str, *addresses: str, ttl: int = 3600) -> None:
        """Gives a name these addresses, and no others."""
        for kind, version in ((A, 4), (AAAA, 6)):
            of_kind = [ipaddress.ip_address(address) for address in addresses]
            self.records[name, kind] = [(ttl, it.packed) for it in of_kind if it.version == version]

    def services(self, name: str, *services: tuple[int, int, int, str], ttl: int = 3600) -> None:
        """Gives a name service records: priority, weight, port and host."""
        packed = [struct.pack("!HHH", *service[:3]) + encoded(service[3]) for service in services]
        self.records[name, SRV] = [(ttl, data) for data in packed]

    def forget(self, name: str) -> None:
        """The name does not exist any more."""
        for known in [known for known in self.records if known[0] == name]:
            del self.records[known]

    def count(self, name: str) -> int:
        """How often a name was asked for its IPv4 addresses."""
        return self.asked.count((name, A))

    def stop(self) -> None:
        """Answers no more."""
        for server in (self._udp, self._tcp):
            server.close()

    def answer(self, question: bytes) -> bytes:
        """The proper answer to a question."""
        name, kind = parsed(question)
        self.asked.append((name, kind))
        known = any(owner == name for owner, _ in self.records)
        found = self.records.get((name, kind), [])
        out = question[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + struct.pack("!HHH", len(found), 0, 0)
        out += question[12:]
        for ttl, data in found:
            out += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
        return out

    def _serve_udp(self) -> None:
        while True:
            try:
                question, client = self._udp.recvfrom(4096)
            except OSError:
                return
            proper = self.answer(question)
            if self.silent:
                continue
            for message in self.misbehave(question, proper) if self.misbehave else [proper]:
                self._udp.sendto(message, client)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with closing(connection):
                question = connection.recv(4096)[2:]
                self.over_tcp += 1
                proper = self.answer(question)
                connection.sendall(struct.pack("!H", len(proper)) + proper)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """One for datagrams and one for connections, on the same port."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:  # somebody has that one
            udp.close()
    raise AssertionError("no port is free for both")


def encoded(name: str) -> bytes:
    """A name as it stands in a message."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def parsed(question: bytes) -> tuple[str, int]:
    """Name and type that a question asks for."""
    at, labels = 12, []
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), int.from_bytes(question[at + 1 : at + 3])
