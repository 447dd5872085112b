"""A gateway in a module, whose document names what its decorators made."""

from __future__ import annotations

from typing import Any

from tidegate import Gateway, Service

gateway = Gateway(services=[Service(name="orders", url="http://127.0.0.1:9001")])


@gateway.get("/plain")
async def plain(page: int = 1) -> dict[str, int]:
    return {"page": page}


@gateway.compose("/composed/{number}", timeout="2s", tags=["bff"])
def composed(number: int) -> dict[str, Any]:
    return {"number": number}
