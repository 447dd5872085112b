"""Edits the headers of the answer before it goes to the client."""

from __future__ import annotations

from tidegate.policies.header_edits import HeaderEdits


class ResponseHeaders(HeaderEdits):
    """Edits the headers of the answer before it goes to the client: `remove` first, then `set`, then `add`."""
