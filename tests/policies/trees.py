"""A gateway with a provider of tokens and a service that knows sessions, for trees of credentials."""

from __future__ import annotations

from typing import Any

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import FakeUpstream, RunningGateway

INACTIVE = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{"active":false}'
ACTIVE = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{"active":true,"sub":"ann"}'
ALLOW = "HTTP/1.1 204 No Content\r\nx-device-id: d1\r\n\r\n"
DENY = "HTTP/1.1 401 No\r\nwww-authenticate: Session\r\ncontent-length: 0\r\n\r\n"
TOKEN = {"Authorization": "Bearer abc"}


class Scene:
    """A gateway in front of a service, with a provider of tokens and a service that knows sessions."""

    def __init__(self, gateway: RunningGateway, provider: FakeUpstream, sessions: FakeUpstream) -> None:
        self.gateway = gateway
        self.provider = provider
        self.sessions = sessions

    def get(self, **headers: str) -> Any:
        return self.gateway.get("/orders", headers={**headers})


def begin_scene(
    name: str, gateway: StartGateway, upstream: StartUpstream, *, provider: str, sessions: str, **options: Any
) -> Scene:
    """A gateway whose one route has `name`, `any_of` or `all_of`, of both."""
    asked, known, service = upstream().answer(provider), upstream().answer(sessions), upstream().script(echo_all)
    kinds = {
        "introspection": {"service": "provider", "claims_to_headers": {"sub": "x-user-id"}},
        "forward_auth": {"service": "sessions", "headers_to_service": ["x-device-id"]},
    }
    document = {
        "services": [
            {"name": "service", "url": service.url},
            {"name": "provider", "url": asked.url, "retries": 0},
            {"name": "sessions", "url": known.url, "retries": 0},
        ],
        "routes": [
            {"name": "all", "service": "service", "policies": {name: {**kinds, **options}}},
        ],
    }
    return Scene(gateway(document), asked, known)


def seen(answer: Any) -> dict[str, str]:
    """The headers that the service saw."""
    assert answer.status == 200, answer
    return {name.lower(): value for name, value in answer.json()["fields"]}
