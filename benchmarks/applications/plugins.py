"""A plugin with one hook."""

from typing import Any, ClassVar

from pydantic import BaseModel


class Mark:
    """Adds a header to each request."""

    name: ClassVar[str] = "mark"

    class Config(BaseModel):
        """What a document may say of it."""

        header: str = "x-mark"

    def __init__(self, config: Config) -> None:
        self._header = config.header

    def on_request(self, request: Any) -> None:
        """Marks the request."""
        request.headers[self._header] = "seen"
