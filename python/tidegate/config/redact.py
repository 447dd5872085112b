"""The running document with its secrets taken out, for `/config`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tidegate.config.problem import Interpolated

if TYPE_CHECKING:
    from tidegate.config.resolve import Resolution

REDACTED = "(redacted)"
_SECRET_NAME = re.compile(
    r"auth|cookie|secret|token|pass(word|wd|phrase)|\bpwd\b|key|credential|private|signature|session|jwt", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"\s*(bearer|basic|digest|negotiate|token|apikey|aws4-hmac-sha256)\s+\S", re.IGNORECASE)
"""What begins like credentials (RFC 9110 section 11.4), whatever the header is called."""
_SECRET_OPTION = re.compile(r"(\w+_)?(secret|password|password_hash)|bearer_token")
"""Options that hold a secret where people do not write a reference."""
_URL_PASSWORD = re.compile(
    r"(://[^/@\s:]*:)[^/\s]+(?=@)|(?<=[?&])([^=&\s]*(?:key|pass|secret|sig|token)[^=&\s]*=)[^&\s]+"
)
_QUERY_VALUE = re.compile(r"([?&][^=&\s]*=)(?!\{[^{}]*\}(?:&|$))[^&\s]+")
"""Of the path of a question; a value that is a reference says nothing."""
_KEY_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{64}", re.IGNORECASE)
"""It cannot be turned back into a key, but who has it can look for the key in what leaked elsewhere."""
_HEADER_TABLES = frozenset({"set", "add", "headers", "query"})


def redacted(data: Any, table: str = "") -> Any:
    """The data with every secret replaced.

    Values from the environment or from files become the references they were written as. Key material, and headers
    whose names
    tell of secrets, become `(redacted)`. `table` is the key that `data` stood under.
    """
    if isinstance(data, Interpolated):
        return data.written
    if isinstance(data, str):
        secret = (
            "-----BEGIN" in data
            or (table in _HEADER_TABLES and _SECRET_VALUE.match(data))
            or (table == "keys" and _KEY_DIGEST.fullmatch(data))
        )
        if table == "path":
            data = _QUERY_VALUE.sub(rf"\1{REDACTED}", data)
        return REDACTED if secret else _URL_PASSWORD.sub(rf"\1\2{REDACTED}", data)
    if isinstance(data, dict):
        secret = table in _HEADER_TABLES
        return {
            key: _secret(value)
            if (secret and _SECRET_NAME.search(str(key)))
            or (isinstance(value, str | list) and _SECRET_OPTION.fullmatch(str(key)))
            else redacted(value, table if secret else str(key))
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [redacted(value, table) for value in data]
    return data


def _secret(value: Any) -> Any:
    """Nothing of a value but what it refers to."""
    if isinstance(value, Interpolated):
        return value.written
    if isinstance(value, list):
        return [_secret(entry) for entry in value]
    return value if value is True else REDACTED


def written_document(resolution: Resolution) -> dict[str, Any]:
    """The document as it was written, all files together."""
    if resolution.gateway is not None:
        from tidegate.config.dump import to_data

        return to_data(resolution.gateway)
    document: dict[str, Any] = {key: setting.value for key, setting in resolution.settings.items()}
    for kind, runs in resolution.runs.items():
        entries = [
            entry.whole()
            for run in runs
            if run.path == (kind,) and run.shown is not None and run.at is None
            for entry in run.entries
        ]
        if entries:
            document[kind] = entries
    return document
