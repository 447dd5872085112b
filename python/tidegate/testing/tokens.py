"""Signed tokens for tests: an issuer that is not real, whose key a gateway believes that was started for a test.

RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with a key that is no secret, so that no library for cryptography is needed.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from tidegate.errors import UsageError

ALGORITHM = "RS256"
KEY_ID = "tidegate-testing"
_P = int(
    "f98c992fde180b161efd6ea8bbf545ab739f23e29a9bbd8df439e4069ea56677ac5482e03800d5ead583b25eb2730e97aa7f"
    "921aa42213c7012495cc6aefc21af618e4b692ee9184ef3b4e9ed7b2272f148e252432280bb3cd1801a5105398497fac5e27"
    "296a1a9db27103ae10571193517aef147f60a16e0cf754ccd99a2dab",
    16,
)
_Q = int(
    "f75028c075d43ce028e3965e818cd3d3ceeb915df04fd1aa410474f90ee0da4d1fe94fb21036205f2689669b27af4a305ba3"
    "7e0e652e27dface1b5ca3387e2e23f10b932cc25b29354238ad2e556b7b83dd9d0119a1918956cf1fac5a7343dab518805ab"
    "80977f58acedbc63d92789a24c72e041c1a579701900294e4107dd1f",
    16,
)
_N, _E = _P * _Q, 65537
_D = pow(_E, -1, (_P - 1) * (_Q - 1))
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""What goes before a digest of SHA-256 (RFC 8017 section 9.2, note 1)."""


def key_set() -> str:
    """The public key, as a JWK Set."""
    key = {"kty": "RSA", "kid": KEY_ID, "alg": ALGORITHM, "use": "sig", "n": _number(_N), "e": _number(_E)}
    return json.dumps({"keys": [key]})


def believe(issuer: dict[str, Any]) -> None:
    """Has an issuer of the plan be the one whose key is here."""
    issuer["keys"] = {"jwks": key_set()}
    issuer["algorithms"] = [ALGORITHM]


def issuers(value: Any) -> list[dict[str, Any]]:
    """The issuers of tokens of a plan, or of a part of one."""
    if isinstance(value, list):
        return [found for inner in value for found in issuers(inner)]
    if not isinstance(value, dict):
        return []
    if {"issuer", "algorithms", "keys"} <= value.keys():
        return [value]
    return [found for inner in value.values() for found in issuers(inner)]


def token(plan: Any, claims: Mapping[str, Any], now: float, lifetime: float) -> str:
    """A token that the policies of a plan take, with these claims over those that the issuer asks for."""
    known = issuers(plan)
    if not known:
        raise UsageError("the document has no policy that takes signed tokens")
    named = claims.get("iss", known[0]["issuer"])
    issuer = next((one for one in known if one["issuer"] == named), known[0])
    filled: dict[str, Any] = {"iat": int(now), "exp": int(now + lifetime)}
    if issuer["issuer"] is not None:
        filled["iss"] = issuer["issuer"]
    if issuer["audiences"]:
        filled["aud"] = issuer["audiences"][0]
    header = {"alg": ALGORITHM, "kid": KEY_ID, "typ": (issuer["types"] or ["JWT"])[0]}
    return sign(header, {**filled, **claims})


def sign(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A token in the compact form (RFC 7515 section 7.1). A claim that is `None` is left out."""
    given = {name: value for name, value in claims.items() if value is not None}
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(given).encode())}"
    size = (_N.bit_length() + 7) // 8
    digest = _SHA256 + hashlib.sha256(text.encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    signature = pow(int.from_bytes(padded), _D, _N).to_bytes(size)
    return f"{text}.{_encoded(signature)}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8))
