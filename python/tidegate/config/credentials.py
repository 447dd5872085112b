"""The credentials of consumers, and how the engine takes them: hashes, never a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.config.base import Model
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path
from tidegate.config.values import Text, one_or_many
from tidegate.store import secret as form

_PHC = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_MARKS = ("sha256", "uri", "dns", "email", "subject", "common_name")


class BasicUser(Model):
    """A name and the hash of a password, for `basic`."""

    username: Text = Field(description="The name; it has no colon.")
    password_hash: Text = Field(description="What `tidegate keys hash-password` prints: argon2id as a PHC string.")


class ClientCertificate(Model):
    """What tells a client certificate from others, for `mtls`: one of these."""

    sha256: Text | None = Field(None, description="SHA-256 of the whole certificate, in hexadecimal digits.")
    uri: Text | None = Field(None, description="A URI of its alternative names, such as `spiffe://example.org/orders`.")
    dns: Text | None = Field(None, description="A DNS name of its alternative names.")
    email: Text | None = Field(None, description="An e-mail address of its alternative names.")
    subject: Text | None = Field(
        None,
        description="Its whole subject as RFC 4514 writes it: `CN=orders,O=Example`, the most specific part first.",
    )
    common_name: Text | None = Field(None, description="The common name (CN) of its subject.")


def _users(value: object) -> object:
    return [value] if isinstance(value, dict | BasicUser) else value


if TYPE_CHECKING:
    Keys: TypeAlias = list[str] | str
    BasicUsers: TypeAlias = list[BasicUser] | BasicUser
else:
    # Unlike a list of plain texts, it keeps the mark of what came from the environment.
    Keys = Annotated[
        list[Text],
        BeforeValidator(one_or_many),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ]
    BasicUsers = Annotated[
        list[BasicUser],
        BeforeValidator(_users),
        PlainSerializer(lambda users: users[0] if len(users) == 1 else users, when_used="json"),
    ]


def plan_keys(keys: Keys, check: Check, path: Path) -> list[str]:
    """The hashes of keys; a key itself has no place in a document that is shared and kept."""
    assert isinstance(keys, list), "validation leaves lists"
    hashes = []
    for index, key in enumerate(keys):
        place = (*path, index)
        if (written := form.written_digest(key)) is not None:
            hashes.append(written)
        elif key.startswith("sha256:"):
            check.problem(place, "bad_value", "`sha256:` goes before 64 hexadecimal digits")
        elif not isinstance(key, Interpolated):
            hint = f"write `${{env:NAME}}` or `${{file:path}}`, or its hash: `sha256:{form.digest(key)}`"
            check.problem(place, "plain_secret", "a key does not stand in the document as it is", hint)
        elif form.is_mistyped(key):
            check.problem(
                place, "bad_value", "the key begins with `tg_` but its checksum is wrong: it was copied badly"
            )
        elif len(key) < form.SHORTEST_IMPORTED:
            message = f"the key has fewer than {form.SHORTEST_IMPORTED} characters and could be guessed"
            check.problem(place, "bad_value", message, "`tidegate keys create` makes good ones")
        else:
            hashes.append(form.digest(key))
    return hashes


def plan_users(users: BasicUsers, check: Check, path: Path) -> list[dict[str, str]]:
    """Users as the engine takes them."""
    assert isinstance(users, list), "validation leaves lists"
    for index, user in enumerate(users):
        if not user.username or ":" in user.username:
            check.problem((*path, index, "username"), "bad_value", "a user name has no colon and is not empty")
        if not _PHC.fullmatch(user.password_hash):
            hint = "`tidegate keys hash-password` makes one"
            place = (*path, index, "password_hash")
            check.problem(place, "bad_value", "expected an argon2id hash: `$argon2id$v=19$m=...`", hint)
    return [{"username": user.username, "password_hash": user.password_hash} for user in users]


def plan_certificates(certificates: list[ClientCertificate], check: Check, path: Path) -> list[dict[str, Any]]:
    """Certificates as the engine takes them."""
    planned = []
    for index, certificate in enumerate(certificates):
        given = {mark: value for mark in _MARKS if (value := getattr(certificate, mark)) is not None}
        if len(given) != 1:
            known = ", ".join(f"`{mark}`" for mark in _MARKS)
            check.problem((*path, index), "missing" if not given else "bad_value", f"expected one of {known}")
            continue
        [(mark, value)] = given.items()
        if mark == "sha256":
            digest = form.written_digest(value.replace(":", "").removeprefix("sha256"))
            if digest is None:
                check.problem((*path, index, mark), "bad_value", "expected 64 hexadecimal digits")
                continue
            value = digest
        elif not value:
            check.problem((*path, index, mark), "bad_value", "must not be empty")
        planned.append({mark: value})
    return planned
