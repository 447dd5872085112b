"""Runs the first of several equal requests with one key, and answers the others as the first was answered."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from tidegate.config.check import TOKEN, Check
from tidegate.config.problem import Path, quote
from tidegate.config.values import Duration, Integer, Size, Text, Texts, Truth
from tidegate.policies.policy import Policy

_STATUS = re.compile(r"[2-5]xx|[2-5]\d\d")
LATER = (408, 425, 429)
"""Statuses that say "try again": kept only where they are named."""


class Idempotency(Policy):
    """Runs the first of several equal requests with one key, and answers the others as the first was answered."""

    header: Text = Field("idempotency-key", description="Header that has the key.")
    methods: Texts = Field(
        default_factory=lambda: ["POST", "PATCH"],
        description="Methods whose keys count. Others pass as if there were none.",
    )
    required: Truth = Field(False, description="Refuse requests of these methods that have no key.")
    key: Texts = Field(
        default_factory=list,
        description="Whose keys are told apart: a text with references, or a list of which the first counts whose "
        "references all have a value. Unless set: the consumer, else the subject of the token, else the client's "
        "address.",
    )
    ipv6_prefix: Integer = Field(128, ge=16, le=128, description="Bits of an IPv6 address that tell clients apart.")
    ttl: Duration = Field(86_400_000, description="How long an answer is kept.")
    lease: Duration = Field(
        30_000, description="How long a key stays held in Redis by a gateway that died while its request ran."
    )
    max_body: Size = Field(1 << 20, description="Longest body of a request with a key; all of it is read first.")
    max_answer: Size = Field(1 << 20, description="Longest body of an answer that is kept.")
    statuses: Texts = Field(
        default_factory=lambda: ["2xx", "3xx", "4xx"],
        description="Answers that are kept: `2xx` to `5xx`, or single statuses. 408, 425 and 429 are not unless they "
        "are named; after any that is not kept, the next request with the key runs.",
    )
    entries: Integer = Field(100_000, ge=1, le=10_000_000, description="Answers in this gateway's memory, at most.")
    memory: Size = Field(64 << 20, description="Bytes of them, at most; the oldest go first.")
    store: Literal["auto", "redis", "local"] = Field(
        "auto",
        description="Where keys hold: in `redis`, for all gateways that share it, or `local` to this gateway. `auto` "
        "takes the `redis` of the document, where there is one.",
    )
    on_store_failure: Literal["deny", "local"] = Field(
        "deny",
        description="While Redis does not answer: refuse requests with a key (503), or let keys hold in this gateway.",
    )

    def plan(self, check: Check, path: Path) -> dict[str, Any]:
        """The options as the engine takes them."""
        for index, method in enumerate(self.methods):
            if not TOKEN.fullmatch(method):
                check.problem((*path, "methods", index), "bad_value", f"{quote(method)} is not a method")
        if int(self.max_answer) > int(self.memory):
            check.problem((*path, "max_answer"), "bad_value", "`max_answer` is more than all of `memory`")
        if int(self.max_answer) > 3 << 20:
            check.problem((*path, "max_answer"), "bad_value", "an answer that is kept has at most 3 MiB")
        return {
            "scope": check.scope,
            "header": check.header(self.header, (*path, "header")),
            "methods": [method.upper() for method in self.methods],
            "required": self.required,
            "key": [check.template(text, (*path, "key")) for text in self.key],
            "ipv6_prefix": self.ipv6_prefix,
            "body_bytes": self.max_body,
            "answer_bytes": self.max_answer,
            "statuses": self._statuses(check, (*path, "statuses")),
            "ttl_ms": self.ttl,
            "lease_ms": max(int(self.lease), 100),
            "entries": self.entries,
            "memory_bytes": self.memory,
            "store": self.store,
            "local_on_failure": self.on_store_failure == "local",
        }

    def _statuses(self, check: Check, path: Path) -> list[tuple[int, int]]:
        """Ranges, from and to."""
        ranges: list[tuple[int, int]] = []
        for index, text in enumerate(self.statuses):
            if not _STATUS.fullmatch(text):
                message = f"expected `2xx` to `5xx` or a status, got {quote(text)}"
                check.problem((*path, index), "bad_value", message)
            elif text.endswith("xx"):
                first = int(text[0]) * 100
                cuts = [status for status in LATER if first <= status < first + 100]
                for cut in cuts:
                    ranges.append((first, cut - 1))
                    first = cut + 1
                ranges.append((first, int(text[0]) * 100 + 99))
            else:
                ranges.append((int(text), int(text)))
        return ranges
