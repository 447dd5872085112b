"""What a document says that can hardly be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tidegate.config import Loader
from tidegate.config.warnings import warnings

from tests.tls.certificates import Authority

ROUTE = "routes: [{name: a, paths: [/a], respond: {}, policies: {%s}}, {name: b, paths: [/b], respond: {}}]\n"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$QhfcnNGJytBHmWJgPZuYkw$NfSfNNB2AbXLWLo/9VnXV0eSYmDFj9Yv/PNUIaTePYM"
USER = f"consumers: [{{name: a, basic: {{username: a, password_hash: '{HASH}'}}}}]"
KEY = f"sha256:{'0' * 64}"


@pytest.fixture
def warned(tmp_path: Path) -> Path:
    """A folder with certificates."""
    issued = Authority(tmp_path).issue("localhost")
    issued.certificate.rename(tmp_path / "server.pem")
    issued.key.rename(tmp_path / "server.key")
    return tmp_path


TLS = (
    "listeners: [{address: '127.0.0.1:0', tls: {certificate: server.pem, key: server.key,"
    " client_certificates: optional, client_ca: ca.pem}}]\n"
)


@pytest.mark.parametrize(
    ("policies", "more", "reason"),
    [
        ("api_key: {}", "", "no consumer has `keys`, and there is no `store`"),
        ("api_key: {}", USER, "no consumer has"),
        ("api_key: {}", f"consumers: [{{name: a, keys: ['{KEY}']}}]", None),
        ("api_key: {}", "store: {}", None),
        ("api_key: {optional: true}", "", None),
        ("any_of: {api_key: {}}", "", None),
        ("basic: {}", "store: {}", "no consumer has `basic`"),
        ("basic: {}", USER, None),
        ("mtls: {}", "", "no listener asks for client certificates"),
        ("mtls: {any: true}", "", "no listener asks for client certificates"),
        ("mtls: {}", TLS, "no consumer has `certificates`"),
        ("mtls: {any: true}", TLS, None),
        ("mtls: {}", f"{TLS}consumers: [{{name: a, certificates: [{{dns: a.example}}]}}]", None),
    ],
)
def test_a_route_that_nobody_can_pass_is_warned_of(warned: Path, policies: str, more: str, reason: str | None) -> None:
    file = warned / "gateway.yaml"
    file.write_text(ROUTE % policies + more)
    found = warnings(Loader().load(file, {}))
    if reason is None:
        assert found == []
        return
    [problem] = found
    assert (problem.code, problem.line, problem.hint is not None) == ("config.closed_route", 1, True)
    assert problem.message.startswith(f"nobody can pass: {reason}")


def test_a_policy_of_the_gateway_is_warned_of_once(warned: Path) -> None:
    file = warned / "gateway.yaml"
    file.write_text(ROUTE % "" + "policies: {api_key: {}}\n")
    assert len(warnings(Loader().load(file, {}))) == 1
