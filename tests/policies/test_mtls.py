"""`mtls`: callers are known by the certificate that they showed the listener."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import StartGateway
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.gateway import Answer

Begin = Callable[..., RunningGateway]


class Client:
    """A certificate that a client shows."""

    def __init__(self, authority: trustme.CA, folder: Path, *names: str, **options: Any) -> None:
        made = authority.issue_cert(*names, **options)
        self._keep(folder, made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes())

    @classmethod
    def with_uri(cls, authority: trustme.CA, folder: Path, uri: str) -> Client:
        """One with a URI, which trustme cannot make."""
        return cls.signed(authority, folder, x509.Name([]), [x509.UniformResourceIdentifier(uri)])

    @classmethod
    def signed(
        cls,
        authority: trustme.CA,
        folder: Path,
        subject: x509.Name,
        names: list[x509.GeneralName],
        extension: x509.ExtensionType | None = None,
    ) -> Client:
        """One with these names, and perhaps with something that takes their place."""
        issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
        signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        if names:
            extension = x509.SubjectAlternativeName(names)
        if extension is not None:
            builder = builder.add_extension(extension, critical=not list(subject))
        certificate = builder.sign(signer, hashes.SHA256())
        client = cls.__new__(cls)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        client._keep(folder, certificate.public_bytes(serialization.Encoding.PEM), private)
        return client

    def _keep(self, folder: Path, certificate: bytes, key: bytes) -> None:
        self.file = folder / f"client-{id(self)}.pem"
        self.file.write_bytes(key + certificate)
        self.certificate = x509.load_pem_x509_certificate(certificate)
        self.sha256 = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Example")


@pytest.fixture
def begin(authority: trustme.CA, gateway: StartGateway, echo_service: FakeUpstream, tmp_path: Path) -> Begin:
    """A gateway that asks for client certificates: `begin(consumers, **options of mtls)`."""
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {
        "certificate": str(tmp_path / "server.pem"),
        "key": str(tmp_path / "server.pem"),
        "client_certificates": "optional",
        "client_ca": str(tmp_path / "ca.pem"),
    }
    shown = {"x-shown": "{identity.subject} {claims.san.dns} {claims.subject.organization} {claims.sha256}"}

    def start(consumers: list[dict[str, Any]], **options: Any) -> RunningGateway:
        return gateway(
            {
                "listeners": [{"address": "127.0.0.1:0", "tls": tls}],
                "services": [{"name": "echo", "url": echo_service.url}],
                "routes": [{"name": "all", "paths": ["/"], "service": "echo"}],
                "consumers": consumers,
                "policies": {"mtls": options, "request_headers": {"set": shown}},
            }
        )

    return start


@pytest.fixture
def ask(authority: trustme.CA) -> Callable[..., Answer]:
    """A request with a certificate, or without."""

    def request(gateway: RunningGateway, client: Client | None = None) -> Answer:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if client is not None:
            context.load_cert_chain(client.file)
        return gateway.get("/", tls=context)

    return request


def headers(answer: Answer) -> dict[str, str]:
    """What the service got."""
    assert answer.status == 200, answer
    return dict(answer.json()["fields"])


Ask = Callable[..., Answer]


@pytest.mark.parametrize(
    ("names", "options", "mark"),
    [
        (["orders.example.com"], {}, {"dns": "Orders.Example.com"}),
        (["ann@example.com"], {}, {"email": "ann@example.com"}),
        (["a.example.com"], {"common_name": "orders"}, {"common_name": "orders"}),
    ],
)
def test_a_consumer_is_known_by_a_name_in_its_certificate(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path, names: list[str], options: Any, mark: dict[str, str]
) -> None:
    client = Client(authority, tmp_path, *names, **options)
    gateway = begin(
        [{"name": "other", "certificates": [{"dns": "x.example.com"}]}, {"name": "acme", "certificates": [mark]}]
    )
    assert headers(ask(gateway, client))["x-consumer-name"] == "acme"


def test_a_workload_is_known_by_its_uri(begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path) -> None:
    uri = "spiffe://example.org/ns/shop/orders"
    client = Client.with_uri(authority, tmp_path, uri)
    got = headers(ask(begin([{"name": "acme", "certificates": [{"uri": uri}]}]), client))
    assert got["x-consumer-name"] == "acme"
    assert got["x-shown"].startswith(f"{uri} ")
    assert ask(begin([{"name": "acme", "certificates": [{"uri": uri + "x"}]}]), client).status == 401


def test_a_consumer_is_known_by_the_whole_subject(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    client = Client(authority, tmp_path, "a.example.com", common_name="orders", organization_name="Acme")
    subject = client.certificate.subject.rfc4514_string()
    gateway = begin([{"name": "acme", "certificates": [{"subject": subject}]}])
    assert headers(ask(gateway, client))["x-consumer-name"] == "acme"
    part = client.certificate.subject.rfc4514_string().split(",")[0]
    assert ask(begin([{"name": "acme", "certificates": [{"subject": part}]}]), client).status == 401


def test_a_consumer_is_known_by_the_fingerprint_first(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    client = Client(authority, tmp_path, "orders.example.com")
    written = ":".join(client.sha256[at : at + 2] for at in range(0, 64, 2)).upper()
    gateway = begin(
        [
            {"name": "by-name", "certificates": [{"dns": "orders.example.com"}]},
            {"name": "by-print", "certificates": [{"sha256": written}]},
        ]
    )
    assert headers(ask(gateway, client))["x-consumer-name"] == "by-print"


def test_the_certificate_can_be_named_in_references(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    client = Client(authority, tmp_path, "a.example.com", "b.example.com", organization_name="Acme")
    gateway = begin([{"name": "acme", "certificates": [{"dns": "b.example.com"}]}])
    assert headers(ask(gateway, client))["x-shown"] == f"a.example.com a.example.com,b.example.com Acme {client.sha256}"


def test_no_certificate_and_one_of_nobody(begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path) -> None:
    gateway = begin([{"name": "acme", "certificates": [{"dns": "orders.example.com"}]}])
    answer = ask(gateway)
    assert (answer.status, answer.code) == (401, "missing_credentials")
    answer = ask(gateway, Client(authority, tmp_path, "mallory.example.com"))
    assert (answer.status, answer.code) == (401, "invalid_credentials")


def test_any_certificate_of_the_authority_may_do(begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path) -> None:
    gateway = begin([], any=True)
    got = headers(ask(gateway, Client(authority, tmp_path, "someone.example.com")))
    assert got["x-shown"].startswith("someone.example.com ")
    assert "x-consumer-name" not in got


def test_the_certificate_of_a_consumer_that_is_switched_off_is_not_nobodys(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    off = {"name": "off", "enabled": False, "certificates": [{"dns": "orders.example.com"}]}
    gateway = begin([off], any=True)
    assert ask(gateway, Client(authority, tmp_path, "orders.example.com")).code == "invalid_credentials"
    assert ask(gateway, Client(authority, tmp_path, "someone.example.com")).status == 200
    taken_over = begin([off, {**off, "name": "on", "enabled": True}])
    assert headers(ask(taken_over, Client(authority, tmp_path, "orders.example.com")))["x-consumer-name"] == "on"


def test_an_optional_certificate(begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path) -> None:
    gateway = begin([{"name": "acme", "certificates": [{"dns": "orders.example.com"}]}], optional=True)
    assert "x-consumer-name" not in headers(ask(gateway))
    assert ask(gateway, Client(authority, tmp_path, "mallory.example.com")).status == 401


def test_a_connection_does_not_outlive_its_certificate(begin: Begin, authority: trustme.CA, tmp_path: Path) -> None:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    client = Client(authority, tmp_path, "orders.example.com", not_after=until)
    gateway = begin([{"name": "acme", "certificates": [{"dns": "orders.example.com"}]}])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.load_cert_chain(client.file)
    connection = http.client.HTTPSConnection(*gateway.address(), timeout=20, context=context)
    statuses = []
    for _ in range(2):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        gateway.advance(31)
    connection.close()
    assert statuses == [200, 401]
