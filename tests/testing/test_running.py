"""Gateways for tests: cut off from what is around them, with a clock of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme
from tidegate import ConfigError, Gateway, Respond, Route
from tidegate.testing import RunningGateway, start

LIMITED = """
listeners: [{address: "0.0.0.0:8080"}, {name: second, address: "unix:/run/gateway.sock"}]
redis: redis://redis.internal
admin: {address: "0.0.0.0:9900"}
access_log: {file: /nowhere/access.log}
store: {}
services:
  - name: orders
    upstream: {targets: [{address: "a.internal:1"}, {address: "b.internal:2"}], health_check: {active: {path: /up}}}
    circuit_breaker: {failure_threshold: 2, timeout: 30s, share: true}
routes:
  - name: orders
    paths: [/orders]
    service: orders
    strip_path: false
    policies:
      rate_limit: {limit: 2, window: 1m, store: redis}
      signed_identity: {issuer: "https://g.example", key_file: keys.json, rotate: 1d}
"""


def test_nothing_of_the_real_world_is_touched(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(LIMITED)
    with start(file) as gateway:
        gateway.services.orders.get("/orders").returns(200)
        assert [gateway.get("/orders").status for _ in range(3)] == [200, 200, 429]
        gateway.advance(121)
        gateway.get("/orders").expect(200)
        assert gateway.get("/orders", listener="second").status == 200
        assert gateway.admin is None
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_the_environment_is_the_tests_own() -> None:
    text = "routes:\n  - {name: a, respond: {body: '${env:GREETING}'}}\n"
    with start(text, environment={"GREETING": "moin"}) as gateway:
        assert gateway.get("/").text == "moin"
    with pytest.raises(ConfigError, match="has no `GREETING`"):
        start(text, environment={})


def test_a_document_may_be_reloaded() -> None:
    def document(body: str) -> Gateway:
        return Gateway(routes=[Route(name="a", respond=Respond(body=body))])

    with start(document("one")) as gateway:
        before = gateway.address()
        gateway.reload(document("two"))
        assert gateway.get("/").text == "two"
        assert gateway.address() == before
        gateway.reload({"services": [{"name": "s", "url": "http://s"}], "routes": [{"name": "a", "service": "s"}]})
        gateway.services.s.otherwise.returns(text="three")
        assert gateway.get("/").text == "three"


def test_a_service_may_stay_real() -> None:
    with start("routes:\n  - {name: a, respond: {body: behind}}\n") as behind:
        document = {"services": [{"name": "s", "url": behind.url}], "routes": [{"name": "a", "service": "s"}]}
        with start(document, real=["s"]) as gateway:
            assert gateway.get("/").text == "behind"
            assert list(gateway.services) == []


def test_a_policy_that_asks_has_a_service_of_its_own() -> None:
    policies = {"forward_auth": {"url": "http://auth.internal/decide"}}
    with start({"routes": [{"name": "a", "respond": {}, "policies": policies}]}) as gateway:
        auth = gateway.services["http://auth.internal:80"]
        auth.any().returns(403).then(200)
        assert [gateway.get("/").status for _ in range(2)] == [403, 200]


def test_tls_is_kept_for_clients(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    tls = {"certificate": str(tmp_path / "both.pem"), "key": str(tmp_path / "both.pem")}
    document = {"listeners": [{"address": ":443", "tls": tls}], "routes": [{"name": "a", "respond": {"body": "safe"}}]}
    with start(document) as gateway:
        assert gateway.get("/").text == "safe"


def test_a_test_may_await() -> None:
    async def ask(gateway: RunningGateway) -> None:
        asked = [gateway.asynchronous.get(f"/{number}") for number in range(5)]
        assert [answer.text for answer in await asyncio.gather(*asked)] == ["ok"] * 5
        hanging = asyncio.create_task(gateway.asynchronous.post("/hang", json={}))
        await asyncio.to_thread(gateway.services.s.wait_for_requests)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        await asyncio.to_thread(gateway.services.s.wait_for_closed)

    routes = [{"name": "a", "respond": {"body": "ok"}}, {"name": "h", "paths": ["/hang"], "service": "s"}]
    with start({"services": [{"name": "s", "url": "http://s"}], "routes": routes}) as gateway:
        gateway.services.s.otherwise.hangs()
        asyncio.run(ask(gateway))


def test_a_request_can_be_explained() -> None:
    with start({"routes": [{"name": "a", "paths": ["/a"], "respond": {}}]}) as gateway:
        assert gateway.explain("GET", "/a")["outcome"] == "route"
