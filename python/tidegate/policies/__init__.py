"""Policies act around an answer: one file each, named as in the engine, in the document and in its page.

The order here is the order in the plan; the engine has its own reasons for the order in which they run (`pipeline.rs`).
"""

from tidegate.policies.level import Policies
from tidegate.policies.list import PLANNED, POLICIES
from tidegate.policies.policy import Policy

__all__ = ["PLANNED", "POLICIES", "Policies", "Policy"]
