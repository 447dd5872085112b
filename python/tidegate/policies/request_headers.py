"""Edits the headers of the request before it goes to the service."""

from __future__ import annotations

from tidegate.policies.header_edits import HeaderEdits


class RequestHeaders(HeaderEdits):
    """Edits the headers of the request before it goes to the service: `remove` first, then `set`, then `add`."""
