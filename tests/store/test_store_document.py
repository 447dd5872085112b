"""What a document says of credentials and of its store is taken in, and never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tidegate import load
from tidegate.config import redacted

from tests.conftest import StartGateway

KEY = "a-key-from-the-environment"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$QhfcnNGJytBHmWJgPZuYkw$NfSfNNB2AbXLWLo/9VnXV0eSYmDFj9Yv/PNUIaTePYM"
DOCUMENT = f"""\
store: {{url: "postgresql://ann:hush@db.internal/keys?password=hush&sslmode=require"}}
consumers:
  - name: acme
    keys: ["${{env:KEY}}"]
    basic: {{username: ann, password_hash: "{HASH}"}}
policies: {{api_key: {{}}}}
"""


def test_neither_the_plan_nor_what_is_shown_of_it_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", KEY)
    (tmp_path / "gateway.yaml").write_text(DOCUMENT)
    loaded = load(tmp_path / "gateway.yaml")
    assert KEY.encode() not in loaded.plan
    shown = json.dumps(redacted(loaded.written()))
    for secret in (KEY, "hush", HASH[-20:]):
        assert secret not in shown
    assert "${env:KEY}" in shown
    assert "postgresql://ann:(redacted)@db.internal/keys?password=(redacted)&sslmode=require" in shown


def test_a_key_from_the_environment_opens(gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", KEY)
    running = gateway(
        {
            "consumers": [{"name": "acme", "keys": ["${env:KEY}"]}],
            "policies": {"api_key": {}},
            "routes": [{"name": "all", "paths": ["/"], "respond": {"body": "{consumer.name}"}}],
        }
    )
    assert running.get("/", headers={"x-api-key": KEY}).text == "acme"
    assert running.get("/", headers={"x-api-key": "${env:KEY}"}).status == 401
