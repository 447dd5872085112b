"""`oidc` with a provider that somebody else wrote."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest

from tests.conftest import StartGateway, StartUpstream
from tests.echo import echo_all
from tests.harness.gateway import Document
from tests.identity.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, why_not
from tests.identity.provider import Browser

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

ORIGIN = "https://app.test"


@pytest.fixture(params=["RS256", "ES256"])
def provider(request: pytest.FixtureRequest) -> Iterator[OidcProvider]:
    started = OidcProvider(algorithm=request.param, redirect_uris=[f"{ORIGIN}/oauth2/callback"])
    yield started
    started.stop()


class User:
    """Somebody with a browser at the provider."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def visit(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, `Location` and body of one page."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("GET" if form is None else "POST", target, urlencode(form or {}), headers)
        answer = connection.getresponse()
        for line in answer.headers.get_all("set-cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers.get("location") or "", body

    def log_in(self, url: str) -> str:
        """Does what the provider's pages ask for, until it sends the browser back to the gateway."""
        form = None
        for _ in range(12):
            status, location, body = self.visit(url, form)
            form = None
            if location.startswith(ORIGIN):
                return location.removeprefix(ORIGIN)
            if location:
                here = urlsplit(url)
                url = location if "://" in location else f"{here.scheme}://{here.netloc}{location}"
                continue
            prompt, action = re.search(r'name="prompt" value="(\w+)"', body), re.search(r'action="([^"]+)"', body)
            assert prompt is not None, (status, body)
            assert action is not None, (status, body)
            url = action[1]
            form = {"prompt": prompt[1], "login": "ada", "password": "any"}
        raise AssertionError("the provider never sent the browser back")


def document(provider: OidcProvider, service: str) -> Document:
    oidc = {
        "issuer": provider.url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "secret": "0123456789abcdef0123456789abcdef",
        "algorithms": ["RS256", "ES256"],
        "scopes": ["openid", "offline_access"],
        "parameters": {"prompt": "consent"},
        "public_url": ORIGIN,
        "claims_to_headers": {"sub": "x-user-id"},
        "forward": "access_token",
        "idle": "12h",
        "lifetime": "24h",
    }
    return {
        "services": [{"name": "service", "url": service}],
        "policies": {"oidc": oidc},
        "routes": [{"name": "all", "paths": ["/"], "service": "service"}],
    }


def test_a_user_logs_in_goes_on_and_logs_out(
    gateway: StartGateway, upstream: StartUpstream, provider: OidcProvider
) -> None:
    running = gateway(document(provider, upstream().script(echo_all).url))
    browser, user = Browser(running), User()
    back = browser.go(user.log_in(browser.go("/orders?id=1").headers["location"]))
    assert (back.status, back.headers["location"]) == (302, "/orders?id=1")

    def seen() -> dict[str, str]:
        answer = browser.fetch()
        assert answer.status == 200, answer
        return {name.lower(): value for name, value in answer.json()["fields"]}

    first = seen()
    assert first["x-user-id"] == "ada"
    # Its access tokens last an hour; just before their end there is a new one.
    running.advance(3580)
    second = seen()
    assert second["authorization"] != first["authorization"]
    assert seen()["authorization"] == second["authorization"]

    gone = browser.request("POST", "/oauth2/logout", {"sec-fetch-site": "same-origin"})
    assert (gone.status, browser.cookies) == (303, {})
    assert gone.headers["location"].startswith(f"{provider.url}/session/end?")
    assert browser.fetch().status == 401
