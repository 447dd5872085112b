"""Where an OpenID provider has its keys (OpenID Connect Discovery 1.0, RFC 8414)."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from tidegate.identity.fetch import Fetched, FetchError

WELL_KNOWN = "/.well-known/openid-configuration"


def document_url(issuer: str) -> str:
    """Where the document of an issuer is (section 4.1)."""
    return issuer.rstrip("/") + WELL_KNOWN


def keys_url(fetched: Fetched, issuer: str | None) -> str:
    """The URL of the keys in a discovery document. Raises `FetchError` for one that must not be believed."""
    try:
        document = json.loads(fetched.body)
    except (ValueError, RecursionError):  # lists in lists in lists
        raise FetchError("the discovery document is not JSON") from None
    if not isinstance(document, dict):
        raise FetchError("the discovery document is not an object")
    if issuer is not None and document.get("issuer") != issuer:  # section 4.3
        raise FetchError("the discovery document is of another issuer")
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        raise FetchError("the discovery document has no `jwks_uri`")
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise FetchError("the `jwks_uri` of the discovery document is not a URL") from None
    if scheme != "https" and urlsplit(fetched.url).scheme == "https":
        raise FetchError("the `jwks_uri` of the discovery document is not https")
    return url
