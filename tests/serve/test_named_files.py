"""Certificates and other files that a document names are read again when they change, without `--watch`."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.harness import GatewayProcess, eventually
from tests.tls.certificates import Authority, Issued

DOCUMENT = """
listeners: [{address: '127.0.0.1:0', tls: {certificate: shop.pem, key: shop.key}}]
admin: {address: '127.0.0.1:0'}
access_log: off
routes: [{name: a, paths: [/], respond: {status: 200, body: one}}]
"""


def install(issued: Issued, folder: Path, *parts: str) -> None:
    """Puts a certificate and its key in place as tools that renew them do: written beside, then renamed."""
    for part in parts or ("pem", "key"):
        source = issued.certificate if part == "pem" else issued.key
        fresh = folder / f"shop.{part}.new"
        fresh.write_bytes(source.read_bytes())
        fresh.rename(folder / f"shop.{part}")


def shown_by(address: tuple[str, int], authority: Authority) -> Callable[[], bytes | None]:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.check_hostname = False

    def show() -> bytes | None:
        with (
            socket.create_connection(address, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="shop.test") as secured,
        ):
            return secured.getpeercert(binary_form=True)

    return show


def der(issued: Issued) -> bytes:
    """The server's own certificate, the first of the chain."""
    first, end, _ = issued.certificate.read_text().partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(first + end)


@dataclass
class Shop:
    """A gateway that runs with the certificate `old`."""

    running: GatewayProcess
    folder: Path
    old: Issued
    new: Issued
    shown: Callable[[], bytes | None]


@pytest.fixture
def shop(process: StartProcess, tmp_path: Path) -> Shop:
    authority = Authority(tmp_path)
    old, new = authority.issue("old.test"), authority.issue("new.test")
    folder = tmp_path / "conf"
    folder.mkdir()
    install(old, folder)
    (folder / "gateway.yaml").write_text(DOCUMENT)
    running = process(folder / "gateway.yaml")
    shown = shown_by(running.address(), authority)
    assert shown() == der(old)
    return Shop(running, folder, old, new, shown)


def test_a_renewed_certificate_is_served_and_the_document_left_alone(shop: Shop) -> None:
    # Half of an edit that nobody has asked to be applied.
    (shop.folder / "gateway.yaml").write_text("routes: 7\n")
    install(shop.new, shop.folder)
    eventually(lambda: shop.shown() == der(shop.new), "the new certificate")
    config = shop.running.get("/config", "admin").json()
    assert config["routes"][0]["respond"]["body"] == "one"
    shop.running.signal(signal.SIGHUP)
    shop.running.wait_for_log("expected a list")
    assert shop.shown() == der(shop.new)


def test_a_certificate_without_its_key_waits_for_it(shop: Shop) -> None:
    install(shop.new, shop.folder, "pem")
    shop.running.wait_for_log("the key does not belong to the certificate")
    assert shop.shown() == der(shop.old)
    install(shop.new, shop.folder, "key")
    eventually(lambda: shop.shown() == der(shop.new), "the new certificate")


def test_a_changed_secret_is_read_again(process: StartProcess, tmp_path: Path) -> None:
    secret, path = tmp_path / "word", tmp_path / "gateway.yaml"
    secret.write_text("one")
    path.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\nadmin: off\naccess_log: off\n"
        "routes: [{name: a, paths: [/], respond: {status: 200, body: '${file:word}'}}]\n"
    )
    running = process(path)
    assert running.get("/").text == "one"
    secret.write_text("two")
    eventually(lambda: running.get("/").text == "two", "the new secret")
