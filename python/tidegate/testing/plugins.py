"""A plugin to try plugins with."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tidegate.extend.plugins import PluginRequest


class Mark:
    """Sets a header of every request."""

    name: ClassVar[str] = "mark"

    class Config(BaseModel):
        """What a document may say of it."""

        model_config = ConfigDict(extra="forbid")

        header: str = "x-mark"
        value: str = "seen"

    def __init__(self, config: Config) -> None:
        self._config = config

    def on_request(self, request: PluginRequest) -> None:
        """Marks the request."""
        request.headers[self._config.header] = self._config.value
