"""What a gateway answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.testing.compare import MISSING, differences
from tidegate.testing.message import Message


@dataclass
class Answer(Message):
    """An answer of a gateway, whole."""

    status: int
    fields: list[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes
    asked: str = field(default="", compare=False)
    """What it answers, for messages: `GET /orders/1`."""

    @property
    def code(self) -> str:
        """The `code` of a problem document: of every refusal and failure that is the gateway's own."""
        assert self.headers["content-type"] == "application/problem+json", self
        code = self.json()["code"]
        assert isinstance(code, str)
        return code

    def expect(
        self,
        status: int | None = None,
        *,
        json: Any = MISSING,
        text: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """Fails with everything that is different; returns the answer.

        Of `json`, members that are not named may be there beside the others. A header that is `None` must not be there.
        """
        found = differences(self, status=status, json=json, text=text, code=code, headers=headers)
        if found:
            lines = "\n".join(f"  {line}" for line in found)
            raise AssertionError(f"{self.asked or 'the answer'}:\n{lines}\n{self.shown()}")
        return self

    def shown(self) -> str:
        """The answer as a test prints it: status, headers, and the beginning of the body."""
        head = "\n".join(f"    {name}: {value}" for name, value in self.fields)
        body = self.body[:1000].decode("utf-8", "replace")
        return f"  the answer was {self.status}\n{head}" + (f"\n\n    {body}" if body else "")
