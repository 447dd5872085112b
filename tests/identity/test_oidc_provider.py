"""`jwt` with a provider that somebody else wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.echo import Start, ask
from tests.identity.oidc_provider import AUDIENCE, CLIENT_ID, OidcProvider, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture(params=["RS256", "ES256", "EdDSA"])
def provider(request: pytest.FixtureRequest) -> Iterator[OidcProvider]:
    started = OidcProvider(algorithm=request.param)
    yield started
    started.stop()


def test_tokens_of_a_real_provider_pass(start: Start, provider: OidcProvider) -> None:
    jwt = {
        "issuer": provider.url,
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "audience": AUDIENCE,
        "token_types": "at+jwt",
        "claims_to_headers": {"client_id": "x-client", "scope": "x-scope"},
    }
    gateway = start({"jwt": jwt})
    token = provider.token()
    echo = ask(gateway, headers=[("Authorization", f"Bearer {token}")]).echo
    assert (echo.one("x-client"), echo.one("x-scope")) == (CLIENT_ID, "orders")
    gateway.reload({"jwt": {**jwt, "audience": "another"}})
    assert ask(gateway, headers=[("Authorization", f"Bearer {token}")]).status == 401
