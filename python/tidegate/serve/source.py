"""What a gateway is made from: a file, a folder, or a `Gateway` in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic_core import from_json, to_json

from tidegate.config import Gateway, Listener, Loaded, Loader
from tidegate.config.include import Instead
from tidegate.extend.handlers import find_modules_in
from tidegate.serve.included import IncludedDocuments

Source: TypeAlias = Gateway | str | Path

ANY_PORT = "127.0.0.1:0"


class Documents:
    """Loads one source again and again, and only what has changed of it."""

    def __init__(
        self,
        source: Source,
        *,
        any_port: bool = False,
        environment: Mapping[str, str] | None = None,
        adapt: Callable[[Loaded], Loaded] | None = None,
    ) -> None:
        """`any_port`: a document without listeners gets a port from the system; without `admin` it has none.

        `environment`: what `${env:NAME}` stands for, instead of the process's own. `adapt` has the last word on what
        was loaded; for tests.
        """
        self.source = source if isinstance(source, Gateway) else Path(source)
        self._any_port = any_port
        self._environment = environment
        self._adapt = adapt
        self._loader = Loader()
        self._included = IncludedDocuments()

    def load(self, again: Loaded | None = None) -> Loaded:
        """Loads; raises `ConfigError` with every problem, those that only the engine or an import finds too.

        Included documents that are broken are in `broken`, as long as what they say of errors lets the others serve.

        Of a document that loads, the engine has yet to find its own. Of a document that was loaded before, `again`,
        only the files that it names are read anew.
        """
        loaded = self._included.load(lambda instead: self._load(again, instead))
        if again is not None:
            # The documents are those of before, and so is what is wrong with their files.
            broken = {one.file: one for one in (*again.broken, *loaded.broken)}
            loaded = dataclasses.replace(loaded, included=again.included, broken=tuple(broken.values()))
        return loaded if self._adapt is None else self._adapt(loaded)

    def _load(self, again: Loaded | None, instead: Instead) -> Loaded:
        source = self.source
        if isinstance(source, Gateway):
            return self._loader.load_gateway(_with_any_port(source) if self._any_port else source, Path(), instead)
        find_modules_in(source)
        loaded = self._loader.load(source, self._environment, again, instead)
        return _loaded_with_any_port(loaded) if self._any_port else loaded


def _with_any_port(gateway: Gateway) -> Gateway:
    update: dict[str, Any] = {}
    if "listeners" not in gateway.model_fields_set:
        update["listeners"] = [Listener(address=ANY_PORT)]
    if "admin" not in gateway.model_fields_set:
        update["admin"] = None
    return gateway.model_copy(update=update)


def _loaded_with_any_port(loaded: Loaded) -> Loaded:
    written = loaded.written()
    if "admin" not in written:
        loaded = dataclasses.replace(loaded, admin=None)
    if "listeners" not in written:
        plan = from_json(loaded.plan)
        plan["listeners"][0]["address"] = ANY_PORT
        loaded = dataclasses.replace(loaded, plan=to_json(plan))
    return loaded
