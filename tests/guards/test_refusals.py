"""What `tidegate test` takes for a refusal of a policy is what the policy refuses with."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.policies import POLICIES
from tidegate.testing.suite.judge import REFUSALS

CODES = Path(__file__).parents[2] / "docs" / "reference" / "error-codes.md"
NEVER_REFUSES = {
    "cors",
    "forwarded",
    "plugins",  # what a hook answers is an answer
    "request_headers",
    "request_id",
    "response_headers",
    "security_headers",
    "signed_identity",
    "trace_context",
}


def test_every_policy_is_known() -> None:
    assert set(REFUSALS) | NEVER_REFUSES == set(POLICIES)
    assert not set(REFUSALS) & NEVER_REFUSES


def test_every_code_is_one() -> None:
    known = set(re.findall(r'<a id="(\w+)"></a>', CODES.read_text()))
    assert {code for codes in REFUSALS.values() for code in codes} <= known
