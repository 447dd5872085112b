"""TLS between clients and a listener."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hyperframe.frame import GoAwayFrame, SettingsFrame
from tidegate import ConfigError, Gateway, Listener, Respond, Route

from tests.harness import RunningGateway, serving
from tests.http2.raw import PREFACE
from tests.tls.certificates import Authority, Issued


def listener(name: str, *issued: Issued, **options: Any) -> Listener:
    certificates = [{"certificate": str(one.certificate), "key": str(one.key)} for one in issued]
    tls = {"certificates": certificates, **options}
    return Listener.model_validate({"name": name, "address": "127.0.0.1:0", "tls": tls})


def gateway(*listeners: Listener) -> Gateway:
    return Gateway(listeners=list(listeners), routes=[Route(name="hello", paths=["/"], respond=Respond(body="hello"))])


@pytest.fixture(scope="module")
def served(authority: Authority, localhost: Issued) -> Iterator[RunningGateway]:
    alpha, wild = authority.issue("alpha.test"), authority.issue("*.wild.test")
    client_ca = str(authority.file)
    with serving(
        gateway(
            listener("plain", localhost, alpha, wild),
            listener("new", localhost, minimum_version="1.3"),
            listener("required", localhost, client_certificates="required", client_ca=client_ca),
            listener("optional", localhost, client_certificates="optional", client_ca=client_ca),
        )
    ) as served:
        yield served


class Client:
    """A TLS client that trusts the test's authority."""

    def __init__(
        self, authority: Authority, *, shows: Issued | None = None, alpn: tuple[str, ...] = ("http/1.1",)
    ) -> None:
        self.context = ssl.create_default_context(cafile=str(authority.file))
        self.context.check_hostname = False
        self.context.set_alpn_protocols(list(alpn))
        if shows:
            self.context.load_cert_chain(shows.certificate, shows.key)

    def connect(
        self, address: tuple[str, int], name: str | None = "localhost", session: ssl.SSLSession | None = None
    ) -> ssl.SSLSocket:
        plain = socket.create_connection(address)
        plain.settimeout(10)
        try:
            return self.context.wrap_socket(plain, server_hostname=name, session=session)
        except BaseException:
            plain.close()
            raise


def get(secured: ssl.SSLSocket) -> str:
    secured.sendall(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
    return secured.recv(4096).decode().split("\r\n")[0]


def read_frame(secured: ssl.SSLSocket) -> bytes:
    """The head of the next frame."""
    head = b""
    while len(head) < 9:
        head += secured.recv(9 - len(head)) or pytest.fail("the connection was closed without a word")
    left = int.from_bytes(head[:3])
    while left:
        left -= len(secured.recv(left))
    return head


def common_name(secured: ssl.SSLSocket) -> str:
    certificate = secured.getpeercert() or {}
    subject: Any = certificate["subject"]
    return str(dict(pair for part in subject for pair in part)["commonName"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("localhost", "localhost"),
        ("alpha.test", "alpha.test"),
        ("ALPHA.test", "alpha.test"),
        ("a.wild.test", "*.wild.test"),
        ("a.b.wild.test", "localhost"),
        ("wild.test", "localhost"),
        ("unknown.test", "localhost"),
        (None, "localhost"),
    ],
)
def test_the_certificate_is_chosen_by_name(
    served: RunningGateway, authority: Authority, name: str | None, shown: str
) -> None:
    with Client(authority).connect(served.address("plain"), name) as secured:
        assert common_name(secured) == shown
        assert get(secured) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(("offered", "chosen"), [(("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), ((), None)])
def test_the_protocol_is_agreed_on(
    served: RunningGateway, authority: Authority, offered: tuple[str, ...], chosen: str | None
) -> None:
    with Client(authority, alpn=offered).connect(served.address("plain")) as secured:
        assert secured.selected_alpn_protocol() == chosen


def test_a_protocol_that_is_not_spoken_is_refused(served: RunningGateway, authority: Authority) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        Client(authority, alpn=("spdy/3",)).connect(served.address("plain"))


@pytest.mark.parametrize(("name", "spoken"), [("plain", True), ("new", False)])
def test_tls_1_2_is_spoken_unless_it_is_ruled_out(
    served: RunningGateway, authority: Authority, name: str, spoken: bool
) -> None:
    client = Client(authority)
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    if spoken:
        with client.connect(served.address(name)) as secured:
            assert (secured.version(), get(secured)) == ("TLSv1.2", "HTTP/1.1 200 OK")
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            client.connect(served.address(name))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(served: RunningGateway, authority: Authority, version: ssl.TLSVersion) -> None:
    client = Client(authority)
    client.context.minimum_version = client.context.maximum_version = version
    with client.connect(served.address("plain")) as first:
        get(first)
        session = first.session
    with client.connect(served.address("plain"), session=session) as again:
        assert again.session_reused


def test_a_session_does_not_resume_under_other_rules(served: RunningGateway, authority: Authority) -> None:
    client = Client(authority)
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with client.connect(served.address("plain")) as first:
        get(first)
        session = first.session
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        client.connect(served.address("required"), session=session) as secured,
    ):
        get(secured)


def test_client_certificates_are_asked_for(served: RunningGateway, authority: Authority, tmp_path: Path) -> None:
    ours, foreign = authority.issue("client.test"), Authority(tmp_path, "other").issue("client.test")

    def outcome(name: str, shows: Issued | None) -> str:
        try:
            with Client(authority, shows=shows).connect(served.address(name)) as secured:
                return get(secured)
        except (ssl.SSLError, ConnectionError):
            return "refused"

    answered = "HTTP/1.1 200 OK"
    assert [outcome("required", shows) for shows in (None, ours, foreign)] == ["refused", answered, "refused"]
    assert [outcome("optional", shows) for shows in (None, ours, foreign)] == [answered, answered, "refused"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"G",
    ],
    ids=["a request", "a request with a body", "HTTP/2", "a letter"],
)
def test_plain_http_on_a_tls_port_is_told_so_and_closed(served: RunningGateway, sent: bytes) -> None:
    with served.raw("plain") as client:
        status, headers, body = client.send(sent).read_answer()
        assert (status, headers["connection"]) == (400, "close")
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["code"] == "plain_http_on_tls"
        assert client.is_closed()


def test_what_is_neither_tls_nor_http_is_closed_without_http(served: RunningGateway) -> None:
    for sent in (b"\x00\x01\x02", b"\x16\x03\x01\xff\xff", b"ssh-2.0-x\r\n"):
        with served.raw("plain") as client:
            assert b"HTTP/" not in client.send(sent).half_close().read_all(), sent


def test_a_reload_changes_the_certificate_for_new_connections(authority: Authority, localhost: Issued) -> None:
    renewed = authority.issue("renewed.test")
    with serving(gateway(listener("tls", localhost))) as served, Client(authority).connect(served.address()) as before:
        served.reload(gateway(listener("tls", renewed)))
        with Client(authority).connect(served.address()) as after:
            assert (common_name(before), common_name(after)) == ("localhost", "renewed.test")
            assert get(before) == get(after) == "HTTP/1.1 200 OK"


def test_a_key_of_another_certificate_is_a_problem(authority: Authority, localhost: Issued) -> None:
    mixed = Issued(localhost.certificate, authority.issue("mixed.test").key)
    with (
        pytest.raises(ConfigError, match="the key does not belong to the certificate"),
        serving(gateway(listener("tls", mixed))),
    ):
        pass


def test_sessions_outlive_a_reload_that_leaves_tls_alone(authority: Authority, localhost: Issued) -> None:
    client = Client(authority)
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(gateway(listener("tls", localhost))) as served:
        with client.connect(served.address()) as first:
            get(first)
            session = first.session
        served.reload(gateway(listener("tls", localhost)))
        with client.connect(served.address(), session=session) as again:
            assert again.session_reused


# A certificate is verified when a connection begins: one of an authority that is gone was good as long as it was kept.
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_connections_of_an_authority_that_is_gone_close(
    authority: Authority, localhost: Issued, tmp_path: Path, alpn: str
) -> None:
    other = Authority(tmp_path, "other")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.file.read_bytes() + other.file.read_bytes())
    shown = other.issue("orders.test")

    def document(client_ca: Path) -> Gateway:
        return gateway(listener("a", localhost, client_certificates="required", client_ca=str(client_ca)))

    with serving(document(both)) as served:
        client = Client(authority, shows=shown, alpn=(alpn,))
        with client.connect(served.address()) as secured:
            if alpn == "h2":
                secured.sendall(PREFACE + SettingsFrame(0).serialize())
            else:
                assert get(secured) == "HTTP/1.1 200 OK"
            served.reload(document(both))
            if alpn == "http/1.1":
                assert get(secured) == "HTTP/1.1 200 OK"
            served.reload(document(authority.file))
            if alpn == "h2":
                while read_frame(secured)[3] != GoAwayFrame.type:
                    pass
            else:
                assert secured.recv(4096) == b""
        with pytest.raises(ssl.SSLError), client.connect(served.address()) as secured:
            secured.recv(1)


def test_a_certificate_out_of_its_time_is_served_and_warned_of(
    authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(gateway(listener("tls", authority.issue("old.test", expired=True)))) as served:
        client = Client(authority)
        client.context.verify_mode = ssl.CERT_NONE
        with client.connect(served.address()) as secured:
            assert get(secured) == "HTTP/1.1 200 OK"
    assert "listeners[0].tls.certificates[0].certificate" in capfd.readouterr().err
