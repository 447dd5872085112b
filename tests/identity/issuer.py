"""A token issuer that a test controls: keys that it makes and rotates, tokens right and wrong, pages with its keys."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
import time
from collections import Counter
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_MADE: dict[tuple[str, int], PrivateKeyTypes] = {}
"""RSA keys take long to make, so the tests share them."""


def private_key(algorithm: str, number: int = 0) -> Any:
    """A key for an algorithm; the same for the same number."""
    kind = algorithm if algorithm in CURVES or algorithm == "EdDSA" else "RSA"
    if (kind, number) not in _MADE:
        if kind == "RSA":
            _MADE[kind, number] = rsa.generate_private_key(65537, 2048)
        elif kind == "EdDSA":
            _MADE[kind, number] = ed25519.Ed25519PrivateKey.generate()
        else:
            _MADE[kind, number] = ec.generate_private_key(CURVES[kind])
    return _MADE[kind, number]


def public_pem(key: Any) -> str:
    """The public half as PEM."""
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_pem(key: Any) -> str:
    """The private half as PEM, for those who mix the two up."""
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def public_jwk(algorithm: str, key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """The public half as JWK."""
    jwk = dict(pyjwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True))
    jwk.pop("key_ops", None)
    return {**jwk, **({} if kid is None else {"kid": kid}), **more}


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that hold for ten minutes, with changes; `None` takes one away."""
    now = int(time.time())
    made = {"iss": "https://issuer.test", "sub": "ada", "aud": "orders", "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in made.items() if value is not None}


def token(
    payload: dict[str, Any], algorithm: str = "RS256", kid: str | None = "k1", key: Any = None, **header: Any
) -> str:
    """A token, signed by PyJWT."""
    headers = {**({} if kid is None else {"kid": kid}), **header}
    return pyjwt.encode(payload, key or private_key(algorithm), algorithm, headers=headers)


def encode(data: bytes | str | dict[str, Any]) -> str:
    """base64url without padding, of bytes, text, or an object as JSON."""
    if isinstance(data, dict):
        data = json.dumps(data)
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Publishes keys over HTTP on a port of the system's choice, and counts who asks."""

    def __init__(self, keys: list[dict[str, Any]] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.keys = [public_jwk("RS256", private_key("RS256"), "k1")] if keys is None else keys
        self.headers: dict[str, str] = {}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """Answers that stand in for the usual ones, by path."""
        self.asked: Counter[str] = Counter()
        self.hold = threading.Event()
        """While it is not set, keys are not given out."""
        self.hold.set()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._tls = tls
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http{'' if self._tls is None else 's'}://127.0.0.1:{self._port}"

    @property
    def jwks(self) -> str:
        """Where the keys are."""
        return f"{self.url}/jwks.json"

    def start(self) -> None:
        """Comes (back) up, on the same port."""
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                status, headers, body = issuer._answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Transfer-Encoding" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Goes down; connections are refused from now on."""
        self.hold.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == "/jwks.json":
            self.hold.wait(10)
            return 200, self.headers, json.dumps({"keys": self.keys}).encode()
        if path == "/.well-known/openid-configuration":
            return 200, {}, json.dumps({"issuer": self.url, "jwks_uri": self.jwks}).encode()
        return 404, {}, b""
