"""`mtls`: certificates that look like another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.x509 import DNSName, GeneralName, NameAttribute, RelativeDistinguishedName, RFC822Name
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.policies.test_mtls import Ask, Begin, Client, ask, authority, begin, headers

__all__ = ["ask", "authority", "begin"]

CN, ORGANIZATION = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME
Subject = list[list[NameAttribute[Any]]]


def name(text: str, oid: x509.ObjectIdentifier = CN, kind: _ASN1Type | None = None) -> NameAttribute[Any]:
    return NameAttribute(oid, text, kind, _validate=False)


ORDERS = {"subject": "CN=orders,O=Partner"}
SHOP = {"dns": "shop.example.org"}


@pytest.mark.parametrize(
    ("subject", "names", "mark", "known"),
    [
        ([[name("Partner", ORGANIZATION)], [name("orders")]], [], ORDERS, True),
        ([[name("Partner", ORGANIZATION, _ASN1Type.PrintableString)], [name("orders")]], [], ORDERS, True),
        # The same words, put together in another way.
        ([[name("orders")], [name("Partner", ORGANIZATION)]], [], ORDERS, False),
        ([[name("Partner", ORGANIZATION), name("orders")]], [], ORDERS, False),
        ([[name("orders,O=Partner")]], [], ORDERS, False),
        ([[name("Partner", ORGANIZATION)], [name("orders")], [name("orders")]], [], ORDERS, False),
        ([[name("Partner", ORGANIZATION)], [name("Orders")]], [], ORDERS, False),
        ([[name("Partner", ORGANIZATION)], [name("orders ")]], [], ORDERS, False),
        ([[name("Partner", ORGANIZATION)], [name("orders\0")]], [], ORDERS, False),
        ([[name("admin\0.example")]], [], {"common_name": "admin"}, False),
        ([[name("adm\0in")]], [], {"common_name": "admin"}, False),
        ([[name("\u0430dmin")]], [], {"common_name": "admin"}, False),
        ([[name("admin", ORGANIZATION)]], [], {"common_name": "admin"}, False),
        # A wildcard stands for no client, and one name in another's place is none.
        ([[name("x")]], [DNSName("*.example.org")], SHOP, False),
        ([[name("x")]], [DNSName("shop.example.org.")], SHOP, False),
        ([[name("x")]], [DNSName("a.example"), DNSName("SHOP.example.org")], SHOP, True),
        ([[name("shop.example.org")]], [], SHOP, False),
        ([[name("x")]], [RFC822Name("shop.example.org")], SHOP, False),
        ([[name("x")]], [x509.UniformResourceIdentifier("shop.example.org")], SHOP, False),
        ([[name("shop.example.org")]], [DNSName("a.example")], {"common_name": "shop.example.org"}, True),
    ],
)
def test_a_name_is_nobody_else_s(
    begin: Begin,
    ask: Ask,
    authority: trustme.CA,
    tmp_path: Path,
    subject: Subject,
    names: list[GeneralName],
    mark: dict[str, str],
    known: bool,
) -> None:
    gateway = begin([{"name": "acme", "certificates": [mark]}])
    answer = ask(gateway, Client.signed(authority, tmp_path, whole(subject), names))
    if known:
        assert headers(answer)["x-consumer-name"] == "acme"
    else:
        assert (answer.status, answer.code) == (401, "invalid_credentials")


def whole(subject: Subject) -> x509.Name:
    return x509.Name([RelativeDistinguishedName(part) for part in subject])


def test_a_service_is_told_a_name_that_nobody_else_has(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    client = Client.signed(authority, tmp_path, whole([[name("adm\0in\r\nx-shown: root")]]), [])
    shown: Any = headers(ask(begin([], any=True), client))["x-shown"]
    assert shown.encode("latin-1").decode().startswith("adm\ufffdin\ufffd\ufffdx-shown: root ")


# They are of a trusted authority, and no certificate that we can read: nobody's.
@pytest.mark.parametrize("value", [b"\xff\xfe.example", b"a\0.example"])
def test_names_that_are_no_text_are_nobody_s(
    begin: Begin, ask: Ask, authority: trustme.CA, tmp_path: Path, value: bytes
) -> None:
    encoded = b"\x82" + bytes([len(value)]) + value
    extension = x509.UnrecognizedExtension(
        x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30" + bytes([len(encoded)]) + encoded
    )
    client = Client.signed(authority, tmp_path, whole([[name("x")]]), [], extension)
    gateway = begin([{"name": "acme", "certificates": [{"common_name": "y"}, {"dns": "a"}]}])
    assert ask(gateway, client).status == 401
