"""Plugins: classes of the user's whose hooks the engine calls around an answer.

```python
class Mark:
    name = "mark"

    class Config(BaseModel):
        header: str = "x-mark"

    def __init__(self, config: Config) -> None:
        self.header = config.header

    def on_request(self, request: PluginRequest) -> None:
        request.headers[self.header] = "seen"
```
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from tidegate.extend.answer import ANSWERED
from tidegate.extend.request import Request

GROUP = "tidegate.plugins"
"""Entry points of packages that bring plugins."""
HOOKS = ("on_request", "on_response", "on_complete")

Change: TypeAlias = tuple[str, str | None, bool]


class PluginError(Exception):
    """A plugin that cannot be used: where in its part of the document, why, and what to do."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ("use",), hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.path, self.hint = message, path, hint


class ChangedHeaders(MutableMapping[str, str]):
    """Header fields that can be changed; names compare without case. Nothing is read before it is asked for."""

    __slots__ = ("_all", "_changes", "_first")

    def __init__(self, first: Callable[[str], str | None], every: Callable[[], list[tuple[str, str]]]) -> None:
        self._first, self._all = first, every
        self._changes: list[Change] = []

    def __getitem__(self, name: str) -> str:
        if not self._changes:
            value = self._first(name)
            if value is None:
                raise KeyError(name)
            return value
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __setitem__(self, name: str, value: str) -> None:
        self._changes.append((name.lower(), value, False))

    def __delitem__(self, name: str) -> None:
        self[name]  # a mapping says when it has none
        self._changes.append((name.lower(), None, False))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self.pairs()))

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs()})

    def add(self, name: str, value: str) -> None:
        """Adds a field beside those of the name."""
        self._changes.append((name.lower(), value, True))

    def remove(self, name: str) -> None:
        """Removes every field of a name, if there is one."""
        self._changes.append((name.lower(), None, False))

    def get_all(self, name: str) -> list[str]:
        """Every value of a name, in order."""
        return [value for known, value in self.pairs() if known == name.lower()]

    def pairs(self) -> list[tuple[str, str]]:
        """Every name with its value, in order, as changed so far."""
        pairs = self._all()
        for name, value, is_more in self._changes:
            if not is_more:
                pairs = [pair for pair in pairs if pair[0] != name]
            if value is not None:
                pairs.append((name, value))
        return pairs


class PluginRequest(Request):
    """The request as a hook sees it: its head. What `on_request` changes of its headers, the service gets."""

    __slots__ = ("_changed",)
    _changed: ChangedHeaders

    @property
    def headers(self) -> ChangedHeaders:  # type: ignore[override]
        """The header fields, which `on_request` may change."""
        try:
            return self._changed
        except AttributeError:
            self._changed = ChangedHeaders(self._job.header, self._job.headers)
            return self._changed


class PluginResponse:
    """The head of the answer, which `on_response` may change."""

    __slots__ = ("_job", "_status", "headers")

    def __init__(self, job: Any) -> None:
        self._job = job
        self._status: int | None = None
        self.headers = ChangedHeaders(job.given_header, job.given_headers)

    @property
    def status(self) -> int:
        """The status; another can be set where the answer has a body."""
        return self._status or self._job.given_status

    @status.setter
    def status(self, value: int) -> None:
        self._status = value


class Outcome:
    """What became of an exchange, for `on_complete`."""

    __slots__ = ("code", "duration", "headers", "status")

    def __init__(self, job: Any) -> None:
        self.status: int = job.given_status
        """The status that the client got."""
        self.duration: float = job.given_duration / 1e6
        """Seconds from the head of the request to the end of the answer."""
        self.code: str | None = job.given_code
        """Why the gateway answered itself, or cut the answer off."""
        self.headers = ChangedHeaders(job.given_header, job.given_headers)


class Hook:
    """One hook of one plugin, as the runner calls it."""

    def __init__(self, plugin: Any, name: str) -> None:
        self.plugin, self.hook = plugin, name
        self._function = getattr(plugin, name)
        self.__module__ = type(plugin).__module__
        self.__qualname__ = f"{type(plugin).__qualname__}.{name}"

    async def __call__(self, request: Request) -> object:
        job = request._job
        plugged = PluginRequest(job, request._runner)
        if self.hook == "on_request":
            result = self._function(plugged)
            if inspect.isawaitable(result):
                result = await result
            if result is not None:
                return result
            changed = getattr(plugged, "_changed", None)
            job.go_on(None, [] if changed is None else changed._changes)
            return ANSWERED
        second: PluginResponse | Outcome = PluginResponse(job) if self.hook == "on_response" else Outcome(job)
        result = self._function(plugged, second)
        if inspect.isawaitable(result):
            await result
        if isinstance(second, PluginResponse):
            job.go_on(second._status, second.headers._changes)
        else:
            job.go_on(None, [])
        return ANSWERED


class Plugin:
    """A plugin with its options, made once for all routes that have the same."""

    def __init__(self, instance: Any) -> None:
        self.instance = instance
        self.name = str(getattr(instance, "name", type(instance).__name__))
        self.hooks = {name: Hook(instance, name) for name in HOOKS if callable(getattr(instance, name, None))}


_MADE: dict[tuple[Any, str], Plugin] = {}


def find(use: object) -> type[Any]:
    """The class of `module:Class` or of an entry point's name. Raises `PluginError`."""
    if isinstance(use, type):
        return use
    text = str(use)
    if ":" not in text:
        known = {point.name: point for point in entry_points(group=GROUP)}
        if text not in known:
            listed = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
            raise PluginError(f"no plugin is named `{text}`", hint=f"write `module:Class`; installed are {listed}")
        text = known[text].value
    module, _, name = text.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        hint = "modules are looked for in the document's folder and on PYTHONPATH"
        raise PluginError(f"module `{module}` cannot be imported: {error}", hint=hint) from None
    except AttributeError:
        raise PluginError(f"module `{module}` has no `{name}`") from None
    except (Exception, SystemExit) as error:  # a module may leave when it is imported; the gateway does not
        raise PluginError(f"module `{module}` cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(found, type):
        raise PluginError(f"`{text}` is not a class")
    return found


def make(use: object, config: dict[str, Any]) -> Plugin:
    """The plugin of a class and its options; the same for equal ones. Raises `PluginError`."""
    cls = find(use)
    key = (cls, json.dumps(config, sort_keys=True, default=str))
    known = _MADE.get(key)
    if known is None:
        known = _MADE[key] = Plugin(_instance(cls, config))
        if not known.hooks:
            raise PluginError(f"`{cls.__qualname__}` has no hook", hint=f"give it one of {', '.join(HOOKS)}")
    return known


def options_of(cls: type[Any]) -> type[BaseModel] | None:
    """The model of a plugin's options, if it has any."""
    model = getattr(cls, "Config", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _instance(cls: type[Any], config: dict[str, Any]) -> Any:
    model = options_of(cls)
    if model is None and config:
        raise PluginError(f"`{cls.__qualname__}` has no options: it has no `Config`", ("config",))
    try:
        return cls() if model is None else cls(model.model_validate(config))
    except ValidationError as error:
        first = error.errors()[0]
        raise PluginError(first["msg"], ("config", *first["loc"]), _known(model, first)) from None
    except Exception as error:
        raise PluginError(f"`{cls.__qualname__}` cannot be made: {type(error).__name__}: {error}") from None


def _known(model: type[BaseModel] | None, error: Any) -> str | None:
    if model is None or error["type"] != "extra_forbidden":
        return None
    names: Iterable[str] = model.model_fields
    return "known are " + ", ".join(f"`{name}`" for name in names)
