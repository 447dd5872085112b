"""Where limits are counted, and what holds while that place does not answer; for every policy that limits."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tidegate.config.base import Model


class SharedLimit(Model):
    """Where limits are counted."""

    store: Literal["auto", "redis", "local"] = Field(
        "auto",
        description="Where it is counted: in `redis`, together with all gateways that share it, or `local` to this "
        "gateway. `auto` takes the `redis` of the document, where there is one.",
    )
    on_store_failure: Literal["local_share", "allow", "deny"] = Field(
        "local_share",
        description="While Redis does not answer: count here, against the limit divided by the gateways that live; "
        "`allow` every request; or `deny` them with 503.",
    )

    def plan_shared(self) -> dict[str, Any]:
        """The options of this class as the engine takes them."""
        return {"store": self.store, "on_store_failure": self.on_store_failure}
