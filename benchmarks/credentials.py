"""What guarded workloads are asked with: tokens and API keys, made once and kept with the tools."""

import base64
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benchmarks.places import TOOLS

ISSUER = "https://auth.example.com"
AUDIENCE = "shop"
KEY_ID = "benchmark"
API_KEY_HEADER = "x-api-key"
CONSUMERS = 100
USERS = 1000
"""Who calls, when every token has been seen before."""
MANY_USERS = 20_000
"""Who calls, when no token has been seen lately: Tidegate remembers about 8,000 of this size."""

_LIFETIME = 30 * 24 * 3600
_FRESH = 7 * 24 * 3600


@dataclass(frozen=True)
class Signer:
    """The issuer's key."""

    private: rsa.RSAPrivateKey

    @property
    def public_file(self) -> Path:
        file = TOOLS / "issuer.pub.pem"
        public = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        file.write_bytes(public)
        return file

    @property
    def jwks(self) -> dict[str, list[dict[str, str]]]:
        numbers = self.private.public_key().public_numbers()
        parts = {name: _base64(_bytes(number)) for name, number in (("n", numbers.n), ("e", numbers.e))}
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, **parts}]}

    def token(self, user: int, now: int) -> str:
        """An RS256 token such as identity providers make."""
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"user-{user}",
            "email": f"user-{user}@example.com",
            "roles": ["buyer", "reviewer"],
            "iat": now,
            "exp": now + _LIFETIME,
        }
        signed = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(claims).encode())}"
        signature = self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


@cache
def signer() -> Signer:
    """The issuer of all tokens, the same in every run."""
    file = TOOLS / "issuer.key.pem"
    if not file.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(key.private_bytes(*form))
        file.chmod(0o600)
    private = serialization.load_pem_private_key(file.read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey), "written above"
    return Signer(private)


@cache
def tokens(count: int) -> tuple[str, ...]:
    """Tokens of as many users; made anew before they could expire."""
    file = TOOLS / f"tokens-{count}.txt"
    now = int(time.time())
    if not file.exists() or now - file.stat().st_mtime > _FRESH or not file.read_text():
        issuer = signer()
        file.write_text("".join(f"{issuer.token(user, now)}\n" for user in range(count)))
    return tuple(file.read_text().split())


def api_keys() -> dict[str, str]:
    """A key for each consumer, by name."""
    return {f"consumer-{number}": f"benchmark-key-{number:04}-{'k' * 24}" for number in range(CONSUMERS)}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
