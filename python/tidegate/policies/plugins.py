"""Plugins: classes of the user's around an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tidegate.actions.handler import plan_callback
from tidegate.config.base import Model, problem
from tidegate.config.check import Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration
from tidegate.policies.policy import Policy


def _use(value: object) -> object:
    if isinstance(value, str | type):
        return value
    raise problem("wrong_type", f"expected `module:Class` or the name of a plugin, got {quote(value)}")


def _written(use: object) -> str:
    return f"{use.__module__}:{use.__qualname__}" if isinstance(use, type) else str(use)


if TYPE_CHECKING:
    PluginReference: TypeAlias = str | type[Any]
else:
    PluginReference = Annotated[
        Any,
        BeforeValidator(_use),
        PlainSerializer(_written, when_used="json"),
        WithJsonSchema({"type": "string", "title": "module:Class"}),
    ]


class PluginUse(Model):
    """One plugin of a route, with its options."""

    use: PluginReference = Field(
        description="The class, `module:Class`, or the name of one that an installed package brings. From Python, the "
        "class itself."
    )
    config: dict[str, Any] = Field(default_factory=dict, description="The plugin's options: those of its `Config`.")
    on_error: Literal["closed", "open"] = Field(
        "closed", description="When a hook fails: `closed` refuses the request, `open` goes on as if it were not there."
    )
    timeout: Duration = Field(
        5000, description="Time for one hook; one that takes longer has failed.", validate_default=True
    )


_Uses = list[PluginUse]


class Plugins(Policy):
    """Plugins: classes of the user's whose hooks act around an answer."""

    list: _Uses = Field(description="The plugins, in their order.")

    def plan(self, check: Check, path: Path) -> Any:
        """The options as the engine takes them."""
        return [self._plugin(plugin, check, (*path, "list", index)) for index, plugin in enumerate(self.list)]

    def _plugin(self, plugin: PluginUse, check: Check, path: Path) -> dict[str, Any]:
        # Not at the top: what runs user code stands on the document, not the other way round.
        from tidegate.extend.handlers import find_modules_in
        from tidegate.extend.plugins import HOOKS, PluginError, make

        planned: dict[str, Any] = {"name": _written(plugin.use), **dict.fromkeys(HOOKS)}
        try:
            find_modules_in(check.files.folder)
            made = make(plugin.use, plugin.config)
        except PluginError as error:
            check.problem((*path, *error.path), "bad_plugin", error.message, error.hint)
        else:
            planned |= {name: plan_callback(hook, check, (*path, "use")) for name, hook in made.hooks.items()}
        return {
            **planned,
            "fail_open": plugin.on_error == "open",
            "timeout_ms": cast("int", plugin.timeout),
        }
