from tests.echo import echo_service, start
from tests.harness.redis import redis
from tests.policies.oidc_scene import oidc, openid_provider

__all__ = ["echo_service", "oidc", "openid_provider", "redis", "start"]
