"""Redis for breakers that gateways share."""

from __future__ import annotations

from tests.harness.redis import redis

__all__ = ["redis"]
