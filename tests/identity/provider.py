"""An OpenID provider that a test controls, and a browser that goes back and forth between it and a gateway."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.harness import RunningGateway
from tests.harness.gateway import Answer
from tests.identity.issuer import claims, private_key, public_jwk, token

CLIENT = ("gate", "s3cret+/ &")


class Provider:
    """Gives out codes and tokens over HTTP on a port of the system's choice, as a test wants it to."""

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, Any]] = {}
        self.refresh_tokens: set[str] = set()
        self.access_tokens: dict[str, str] = {}
        """And whose they are."""
        self.userinfo: dict[str, Any] = {}
        """What the userinfo endpoint says, beside `sub` or instead of it."""
        self.userinfo_answer: tuple[int, str] | None = None
        """Stands in for every answer of it."""
        self.asked: Counter[str] = Counter()
        """Requests by path; of the token endpoint by grant as well."""
        self.forms: list[dict[str, str]] = []
        """What came to the token endpoint."""
        self.headers: list[dict[str, str]] = []
        self.claims: dict[str, Any] = {}
        """Changes of the claims of every id_token."""
        self.token: dict[str, Any] = {}
        """Changes of every answer of the token endpoint."""
        self.answer: tuple[int, str] | None = None
        """Stands in for every answer of the token endpoint."""
        self.sign: dict[str, Any] = {}
        """How id_tokens are signed, other than right."""
        self.discovery: dict[str, Any] = {}
        self.expires_in = 300
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Comes (back) up, on the same port."""
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked[self.path] += 1
                if self.path == "/userinfo":
                    return self._answer(*provider.tell(self.headers["authorization"] or ""))
                return self._answer(200, json.dumps(provider.page(self.path)))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                provider.hold.wait(10)
                with provider._lock:
                    provider.asked[self.path] += 1
                    provider.headers.append({name.lower(): value for name, value in self.headers.items()})
                    answer = provider.give(dict(parse_qs(form, strict_parsing=True)))
                self._answer(*answer)

            def _answer(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Goes down; connections are refused from now on."""
        self.hold.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def page(self, path: str) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [public_jwk("RS256", private_key("RS256"), "k1")]}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize?tenant=a",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/logout",
            **self.discovery,
        }

    def tell(self, authorization: str) -> tuple[int, str]:
        """The answer of the userinfo endpoint."""
        if self.userinfo_answer is not None:
            return self.userinfo_answer
        sub = self.access_tokens.get(authorization.removeprefix("Bearer "))
        if sub is None:
            return 401, "{}"
        return 200, json.dumps({"sub": sub, **self.userinfo})

    def log_in(self, location: str, sub: str = "ada") -> dict[str, str]:
        """What a user's login makes of an authorization request: the parameters of the answer."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query, strict_parsing=True).items()}
        assert location.startswith(f"{self.url}/authorize?tenant=a&")
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT[0])
        assert (asked["code_challenge_method"], "openid" in asked["scope"].split()) == ("S256", True)
        code = secrets.token_urlsafe(8)
        self.codes[code] = {**asked, "sub": sub}
        return {"code": code, "state": asked["state"]}

    def give(self, form: dict[str, list[str]]) -> tuple[int, str]:
        """The answer of the token endpoint to a form."""
        assert all(len(values) == 1 for values in form.values())
        one = {name: values[0] for name, values in form.items()}
        self.forms.append(one)
        self.asked[one["grant_type"]] += 1
        if self.answer is not None:
            return self.answer
        if one["grant_type"] == "refresh_token":
            if one["refresh_token"] not in self.refresh_tokens:
                return 400, json.dumps({"error": "invalid_grant"})
            self.refresh_tokens.remove(one["refresh_token"])
            return 200, json.dumps(self._tokens(one["refresh_token"].split(".")[0], None))
        login = self.codes.pop(one["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(one["code_verifier"].encode()).digest()).rstrip(b"=")
        if login is None or login["code_challenge"] != challenge.decode():
            return 400, json.dumps({"error": "invalid_grant"})
        if login["redirect_uri"] != one["redirect_uri"]:
            return 400, json.dumps({"error": "invalid_grant"})
        return 200, json.dumps(self._tokens(login["sub"], login["nonce"]))

    def _tokens(self, sub: str, nonce: str | None) -> dict[str, Any]:
        refresh_token = f"{sub}.{secrets.token_urlsafe(8)}"
        self.refresh_tokens.add(refresh_token)
        payload = claims(
            **{"iss": self.url, "aud": CLIENT[0], "sub": sub, "nonce": nonce, "exp": 4_000_000_000, **self.claims}
        )
        answer = {
            "token_type": "Bearer",
            "access_token": f"access-{secrets.token_urlsafe(8)}",
            "expires_in": self.expires_in,
            "refresh_token": refresh_token,
            "id_token": token(payload, **self.sign),
            **self.token,
        }
        self.access_tokens[str(answer["access_token"])] = sub
        return {name: value for name, value in answer.items() if value is not None}


NAVIGATE = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none", "accept": "text/html"}


class Browser:
    """Keeps cookies, and follows no redirect by itself."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []
        """Every `Set-Cookie` there was."""

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """One request, with the cookies."""
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = self.gateway.request(method, path, headers={**(cookies if self.cookies else {}), **(headers or {})})
        for line in (value for name, value in answer.fields if name == "set-cookie"):
            self.set.append(line)
            pair, *marks = line.split("; ")
            name, _, value = pair.partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in marks:
                del self.cookies[name]
        return answer

    def fetch(self, path: str = "/api", **headers: str) -> Answer:
        """What a script of the page asks for."""
        mode = {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
        return self.request("GET", path, {**mode, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def go(self, path: str = "/") -> Answer:
        """What the user typed or followed."""
        return self.request("GET", path, NAVIGATE)

    def log_in(self, provider: Provider, path: str = "/", sub: str = "ada", **answer: str) -> Answer:
        """Goes to a page, logs in at the provider and comes back with its answer; `answer` changes that."""
        sent = self.go(path)
        assert sent.status == 302, sent
        return self.go(callback({**provider.log_in(sent.headers["location"], sub), **answer}))


def callback(parameters: dict[str, str]) -> str:
    """The path that the provider sends the browser to."""
    return f"/oauth2/callback?{urlencode(parameters)}"
