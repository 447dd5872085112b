"""Redis for the tests of shared limits; and machines that are busy are no failure."""

from __future__ import annotations

from hypothesis import settings

from tests.harness.redis import cluster, redis

__all__ = ["cluster", "redis"]

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
