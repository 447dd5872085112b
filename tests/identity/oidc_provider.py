"""A real OpenID provider (`oidc-provider` from npm), started by a test."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

FOLDER = Path(__file__).parents[2] / ".venv" / "node"
"""Where `npm install oidc-provider@9` was run; `.ci/run` does it."""
SCRIPT = Path(__file__).with_suffix(".mjs")

CLIENT_ID = "gateway"
CLIENT_SECRET = "a secret of the gateway, for tests"
AUDIENCE = "https://orders.test"


def why_not() -> str | None:
    """Why it cannot be started here; `None`: it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        return "oidc-provider is not installed: npm install --prefix .venv/node oidc-provider@9"
    return None


class OidcProvider:
    """A provider with one client, `gateway`; any login name and password will do (its development pages)."""

    def __init__(self, *, algorithm: str = "RS256", redirect_uris: Sequence[str] = ()) -> None:
        settings = {"algorithm": algorithm, **({"redirect_uris": list(redirect_uris)} if redirect_uris else {})}
        # Modules are looked for beside the script.
        script = FOLDER / SCRIPT.name
        script.write_text(SCRIPT.read_text())
        self._process = subprocess.Popen(
            ["node", str(script), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        lines = iter(self._process.stdout.readline, "")
        self.url = next(line.strip() for line in lines if line.startswith("http://"))
        """The issuer."""

    def token(self, scope: str = "orders") -> str:
        """An access token for the client itself (RFC 6749 section 4.4), signed."""
        pair = urlencode({"": CLIENT_ID})[1:] + ":" + urlencode({"": CLIENT_SECRET})[1:]
        request = urllib.request.Request(
            f"{self.url}/token",
            urlencode({"grant_type": "client_credentials", "scope": scope}).encode(),
            {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["access_token"])

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()
