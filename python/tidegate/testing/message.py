"""Messages as tests look at them: what a service was sent, and what a gateway answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote


class Headers(Mapping[str, str]):
    """Header fields by name, without regard to case; of a name that comes twice, the last."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        self._last = {name.lower(): value for name, value in fields}

    def all(self, name: str) -> list[str]:
        """Every value of a name, in order."""
        return [value for known, value in self._fields if known.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        return self._last[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._last

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def __repr__(self) -> str:
        return repr(self._fields)


class Message:
    """Headers and a body."""

    fields: list[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes
    """Without framing."""

    @property
    def headers(self) -> Headers:
        """Values by name."""
        return Headers(self.fields)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Recorded(Message):
    """A request as it came to a service."""

    raw: bytes = field(repr=False)
    """Head and body with their framing."""
    method: str
    target: str
    """Path and query as they were sent."""
    fields: list[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes
    """Without framing."""
    params: dict[str, str] = field(default_factory=dict)
    """What the path of the rule that took it names, `/orders/{id}`."""

    @property
    def path(self) -> str:
        """The path as it was sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, decoded; each may come several times."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """The only value of a header; `None` when there is none."""
        values = self.headers.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


def segments(path: str) -> list[str]:
    """The segments of a path, decoded."""
    return [unquote(segment) for segment in path.split("/")]
