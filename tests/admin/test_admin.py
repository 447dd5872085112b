"""The listener for operators."""

from __future__ import annotations

import json

import pytest
from tidegate import ConfigError

from tests.conftest import StartGateway
from tests.harness import Answer, RunningGateway
from tests.harness.gateway import ask

DOCUMENT = """
admin: {address: "127.0.0.1:0"}
services:
  - {name: s, url: "http://127.0.0.1:9", retries: 0}
routes:
  - name: hello
    paths: [/hello]
    respond: {status: 200, body: hello}
  - name: dead
    paths: [/dead]
    service: s
    policies:
      request_headers: {set: {authorization: "Bearer hush", x-plain: seen}}
"""


def admin(running: RunningGateway, path: str, method: str = "GET", **headers: str) -> Answer:
    assert running.admin is not None
    host, port = running.admin.url.removeprefix("http://").split(":")
    return ask((host, int(port)), method, path, headers=headers)


def test_livez_and_readyz_answer(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    assert (admin(running, "/livez").status, admin(running, "/livez").text) == (200, "live\n")
    ready = admin(running, "/readyz")
    assert (ready.status, ready.json()["ready"]) == (200, True)


def test_a_gateway_that_drains_is_not_ready_but_alive(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    running.drain(0)
    assert (admin(running, "/readyz").status, admin(running, "/readyz").json()["reason"]) == (503, "draining")
    assert admin(running, "/livez").status == 200


def test_a_refused_reload_is_told(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    with pytest.raises(ConfigError):
        running.reload("routes: 7\n")
    state = admin(running, "/readyz")
    assert state.status == 200
    assert "expected a list" in json.dumps(state.json()["reload_refused"])
    running.reload(DOCUMENT)
    assert "reload_refused" not in admin(running, "/readyz").json()


def test_metrics_count_requests_in_prometheus_text(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    running.get("/hello")
    running.get("/dead")
    answer = admin(running, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'tidegate_requests_total{route="hello"' in answer.text


def test_config_shows_the_document_without_secrets(gateway: StartGateway) -> None:
    answer = admin(gateway(DOCUMENT), "/config")
    document = answer.json()
    assert [route["name"] for route in document["routes"]] == ["hello", "dead"]
    assert document["routes"][1]["policies"]["request_headers"]["set"]["x-plain"] == "seen"
    assert "hush" not in answer.text


DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_config_shows_nothing_that_leads_to_a_key_or_what_a_question_is_asked_with(gateway: StartGateway) -> None:
    document = f"""
admin: {{address: "127.0.0.1:0"}}
consumers:
  - {{name: acme, keys: ["sha256:{DIGEST}"]}}
  - {{name: other, keys: {DIGEST.upper().replace("9", "8")}}}
services:
  - {{name: auth, url: "http://127.0.0.1:9"}}
routes:
  - name: a
    paths: [/a]
    service: auth
    policies:
      forward_auth: {{service: auth, path: "/check?pass=hush&user={{header.x-user}}&more=hush2"}}
"""
    answer = admin(gateway(document), "/config")
    shown = answer.json()
    assert shown["consumers"][0]["keys"] == ["(redacted)"]
    assert DIGEST[1:] not in answer.text.lower()
    path = shown["routes"][0]["policies"]["forward_auth"]["path"]
    assert path == "/check?pass=(redacted)&user={header.x-user}&more=(redacted)"


def test_config_follows_a_reload(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    running.reload(DOCUMENT.replace("name: hello", "name: hi"))
    assert admin(running, "/config").json()["routes"][0]["name"] == "hi"


def test_the_index_names_every_page(gateway: StartGateway) -> None:
    text = admin(gateway(DOCUMENT), "/").text
    pages = ["/livez", "/readyz", "/metrics", "/services", "/config", "/canaries", "/breakers", "/documents"]
    assert [line.split()[0] for line in text.splitlines()[2:]] == pages


def test_nothing_can_be_changed(gateway: StartGateway) -> None:
    running = gateway(DOCUMENT)
    assert admin(running, "/config", "PUT").code == "method_not_allowed"
    assert admin(running, "/absent").code == "no_route"


def test_admin_pages_are_not_on_the_traffic_listener(gateway: StartGateway) -> None:
    assert gateway(DOCUMENT).get("/metrics").status == 404


# A web page whose own name was made to point to loopback (DNS rebinding) could read all of this.
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9900", "127.0.0.1.evil.example", "localhost.evil.example"]
)
@pytest.mark.parametrize("path", ["/config", "/metrics", "/readyz"])
def test_on_loopback_a_foreign_name_is_shown_nothing(gateway: StartGateway, host: str, path: str) -> None:
    answer = admin(gateway(DOCUMENT), path, Host=host)
    assert answer.status == 403
    assert "hello" not in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9900", "a.localhost", "127.0.0.1:9900", "[::1]:9900", "10.0.0.1"]
)
def test_this_machine_by_name_or_address_is_answered(gateway: StartGateway, host: str) -> None:
    assert admin(gateway(DOCUMENT), "/livez", Host=host).status == 200
