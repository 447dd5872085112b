"""Listeners: the sockets the gateway accepts on, their TLS and their limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import Model
from tidegate.config.values import Duration, Integer, ListenerAddress, Size, Text, Truth


def _version(value: object) -> object:
    """YAML reads `1.2` as a number."""
    return {1.2: "1.2", 1.3: "1.3"}.get(value, value) if isinstance(value, float) else value


class CertifiedKey(Model):
    """A certificate chain and its private key."""

    certificate: Text = Field(
        description="File with the certificate chain in PEM form, the server's own first, relative to the "
        "document; or the PEM text itself."
    )
    key: Text = Field(
        description="File with the private key in PEM form, relative to the document; or the text by reference: "
        "`${file:...}`."
    )


class ListenerTls(Model):
    """How a listener speaks TLS. Certificates are read again when their files change."""

    certificate: Text | None = Field(
        None, description="File with the certificate chain in PEM form; short for a `certificates` list of one."
    )
    key: Text | None = Field(None, description="File with the private key that belongs to `certificate`.")
    certificates: list[CertifiedKey] = Field(
        default_factory=list,
        description="Several certificates, chosen by the host name the client asks for (SNI). The first serves "
        "clients that name none, or an unknown one.",
    )
    minimum_version: Annotated[
        Literal["1.2", "1.3"], BeforeValidator(_version), WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]})
    ] = Field("1.2", description="The oldest TLS version that is spoken.")
    client_certificates: Literal["none", "optional", "required"] = Field(
        "none", description="Whether clients are asked for a certificate of their own, and refused without one."
    )
    client_ca: Text | None = Field(
        None, description="File with the authorities (PEM) that client certificates must come from."
    )


class Http2Limits(Model):
    """Bounds on one HTTP/2 connection; who breaks one is told GOAWAY."""

    streams: Integer = Field(128, ge=1, le=65535, description="Requests that one connection may have open at a time.")
    resets: Integer = Field(
        200,
        ge=1,
        le=1_000_000,
        description="Streams that a client may reset within ten seconds (rapid reset, CVE-2023-44487).",
    )
    control_frames: Integer = Field(
        1000,
        ge=10,
        le=10_000_000,
        description="PING, SETTINGS, PRIORITY and empty DATA frames that a client may send within ten seconds.",
    )


class Limits(Model):
    """What a client may ask of a listener; each bound has an answer and a code of its own."""

    head: Size = Field(32 << 10, ge=1024, le=1 << 20, description="Bytes of a request line and header section (431).")
    fields: Integer = Field(100, ge=1, le=10_000, description="Header fields of a request (431).")
    target: Size = Field(8 << 10, ge=64, le=1 << 20, description="Bytes of a request target: path and query (414).")
    head_timeout: Duration = Field(10_000, description="Time in which a whole head must have arrived (408).")
    idle_timeout: Duration = Field(75_000, description="Time a connection may rest between two requests.")
    connections: Integer = Field(
        50_000, ge=1, le=10_000_000, description="Connections the listener holds at a time, over all workers."
    )
    connections_per_address: Integer = Field(
        1000,
        ge=1,
        le=10_000_000,
        description="Connections from one client address at a time. Raise it where a load balancer stands in front.",
    )
    http2: Http2Limits = Field(default_factory=Http2Limits, description="Bounds on each HTTP/2 connection.")


class Listener(Model):
    """A socket the gateway accepts connections on."""

    address: ListenerAddress = Field(
        description="`IP:PORT`, `[IPv6]:PORT`, `:PORT` for every address of the machine, or `unix:/path`. Port 0 "
        "lets the system choose."
    )
    name: str | None = Field(
        None, min_length=1, description="Its name in metrics and logs. Without one, the address as written."
    )
    tls: ListenerTls | None = Field(None, description="Speak TLS; without it the listener speaks plain HTTP.")
    http2: Truth = Field(True, description="Speak HTTP/2 too: by ALPN with TLS, by prior knowledge (h2c) without.")
    proxy_protocol: Truth = Field(
        False,
        description="Expect the PROXY protocol (version 1 or 2) at the start of each connection, and refuse "
        "connections without it.",
    )
    half_close: Truth = Field(
        False,
        description="Answer a client that has closed its sending side. Without it such a client counts as gone, and "
        "its upstream request is cancelled at once, as TCP does not tell the two apart.",
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds on what clients may ask.")
