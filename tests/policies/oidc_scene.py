"""A gateway whose users log in, for the tests of `oidc`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness import FakeUpstream, RunningGateway
from tests.harness.gateway import Answer
from tests.identity.provider import CLIENT, Browser, Provider

SECRET = "0123456789abcdef0123456789abcdef"


class Scene:
    """A gateway whose users log in at `provider`, before `service`."""

    def __init__(self, gateway: RunningGateway, provider: Provider, service: FakeUpstream) -> None:
        self.gateway = gateway
        self.provider = provider
        self.service = service
        self.browser = Browser(gateway)

    def log_in(self, path: str = "/", **answer: str) -> Answer:
        return self.browser.log_in(self.provider, path, **answer)

    def seen(self, path: str = "/api") -> dict[str, list[str]]:
        """The headers that the service saw."""
        answer = self.browser.fetch(path)
        assert answer.status == 200, answer
        found: dict[str, list[str]] = {}
        for name, value in answer.json()["fields"]:
            found.setdefault(name.lower(), []).append(value)
        return found


@pytest.fixture
def openid_provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def oidc(gateway: StartGateway, upstream: StartUpstream, openid_provider: Provider) -> Any:
    def begin(*, workers: int = 1, policies: dict[str, Any] | None = None, **options: Any) -> Scene:
        service = upstream().script(echo_all)
        return Scene(
            gateway(document(openid_provider, service, policies, **options), workers=workers), openid_provider, service
        )

    return begin


def document(
    provider: Provider, service: FakeUpstream, policies: dict[str, Any] | None = None, /, **options: Any
) -> dict[str, Any]:
    oidc = {"issuer": provider.url, "client_id": CLIENT[0], "client_secret": CLIENT[1], "secret": SECRET, **options}
    return {
        "services": [{"name": "service", "url": service.url}],
        "policies": {"oidc": {name: value for name, value in oidc.items() if value is not None}, **(policies or {})},
        "routes": [
            {"name": "all", "paths": ["/"], "service": "service"},
            {"name": "open", "paths": ["/open"], "service": "service", "policies": {"oidc": "off"}},
        ],
    }
