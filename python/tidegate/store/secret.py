"""How a key looks, and what is kept of it.

`tg_live_` + 30 characters of chance + 6 of checksum. The prefix lets scanners of repositories and logs find a key, the
checksum (CRC-32 of all before it, in base 62) lets them and the gateway tell a key from a typing error without asking
anybody. 30 characters of base 62 are 178 bits: nobody guesses them, so one SHA-256 is all that is kept and all that a
request costs. A slow hash such as argon2 protects secrets that people think up; here it would only slow requests down.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHANCE = 30
CHECKSUM = 6
DEFAULT_PREFIX = "tg_live"
SHORTEST_IMPORTED = 16
"""A shorter key could be found from its hash by trying."""

_PREFIX = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_KEY = re.compile(rf"{_PREFIX.pattern}_[0-9A-Za-z]{{{CHANCE + CHECKSUM}}}")
_HASH = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_SHOWN = 4


def new_secret(prefix: str = DEFAULT_PREFIX) -> str:
    """A new key. It is shown once and kept nowhere."""
    body = f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(CHANCE))}"
    return body + checksum(body)


def checksum(body: str) -> str:
    """The last characters of a key that begins with `body`."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def is_prefix(text: str) -> bool:
    """Whether keys may begin so: words of small letters and digits, joined by `_`."""
    return len(text) <= 32 and _PREFIX.fullmatch(text) is not None


def is_whole(secret: str) -> bool:
    """Whether it looks like a key that was made here, checksum and all."""
    return _KEY.fullmatch(secret) is not None and checksum(secret[:-CHECKSUM]) == secret[-CHECKSUM:]


def is_mistyped(secret: str) -> bool:
    """Whether it begins like a key of ours and is none; the gateway refuses these without a lookup."""
    return secret.startswith("tg_") and not is_whole(secret)


def digest(secret: str) -> str:
    """What is kept of a key: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def written_digest(text: str) -> str | None:
    """The hash that a text is, with or without `sha256:` before it; `None` when it is none."""
    match = _HASH.fullmatch(text)
    return None if match is None else match[1].lower()


def hint(secret: str) -> str:
    """Enough of a key to know it again, and too little to use: `tg_live_Ab3d...`."""
    if is_whole(secret):
        prefix = secret[: -CHANCE - CHECKSUM]
        return f"{prefix}{secret[len(prefix) :][:_SHOWN]}..."
    return f"{secret[:_SHOWN]}..." if len(secret) >= SHORTEST_IMPORTED else "..."
