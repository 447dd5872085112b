from tests.echo import echo_service, start
from tests.harness.redis import redis

__all__ = ["echo_service", "redis", "start"]
