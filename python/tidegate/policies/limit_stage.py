"""When a limit acts: behind authentication, or before anybody has looked at a credential."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.references import FIXED, Part

Stage = Literal["before_authentication", "after_authentication"]

_OF_THE_CALLER = {
    reference: written for written, reference in FIXED.items() if written.startswith(("consumer.", "identity."))
}


def early_names(name: str) -> tuple[str, str]:
    """The names of a limit in the plan: that of its part before authentication comes first."""
    return f"early_{name}", name


def check_early(planned: dict[str, Any], written: Iterable[str], check: Check, path: Path) -> None:
    """Notes what a limit asks for that is not known before authentication; `planned` is its part of the plan.

    `written`: the options that the document has.
    """
    if check.scope.startswith("consumer/"):
        option = next((name for name in ("stage", "count") if name in written), "stage")
        message = "the limit acts before it is known which consumer calls"
        check.problem((*path, option), "bad_value", message, "write it at the gateway, a service or a route")
    if not planned["tiers"]:
        planned["tier"] = []
    tier = "tier" if "tier" in written else "tiers"
    texts = [*((("key"), parts) for parts in planned["key"]), (tier, planned["tier"])]
    if isinstance(planned.get("cost"), dict) and "template" in planned["cost"]:
        texts.append(("cost", planned["cost"]["template"]))
    for option, parts in texts:
        for reference in _unknown(parts):
            message = f"`{{{reference}}}` is not known before authentication"
            hint = "name what a request itself shows, such as `{client.ip}`"
            check.problem((*path, option), "bad_reference", message, hint)


def _unknown(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        reference = part.get("reference")
        if isinstance(reference, dict) and "claims" in reference:
            yield "claims." + ".".join(reference["claims"])
        elif isinstance(reference, str) and reference in _OF_THE_CALLER:
            yield _OF_THE_CALLER[reference]
