"""Consumers: who calls, by name."""

from __future__ import annotations

from pydantic import Field

from tidegate.config.base import Model
from tidegate.config.credentials import BasicUsers, ClientCertificate, Keys
from tidegate.config.values import Text, Truth
from tidegate.policies import Policies


class Consumer(Model):
    """Someone who calls: a customer, a partner, a program of your own."""

    name: str = Field(min_length=1, description="Its name, unique in the document; logs and `{consumer.name}` use it.")
    tier: Text | None = Field(
        None, description="Its commercial plan, such as `free` or `business`; limits can depend on it."
    )
    tags: list[str] = Field(
        default_factory=list, description="Labels; `authorize` and `{consumer.tags}` can use them as groups."
    )
    keys: Keys = Field(
        default_factory=list,
        description="Its API keys, by reference (`${env:NAME}`, `${file:path}`) or as `sha256:` and the hash. Keys "
        "that come and go are better kept in the `store`.",
    )
    basic: BasicUsers = Field(default_factory=list, description="Its user name and password, or a list of them.")
    certificates: list[ClientCertificate] = Field(
        default_factory=list, description="Its client certificates, each by one mark."
    )
    policies: Policies = Field(
        default_factory=Policies,
        description="Policies for its requests, whatever the route; they win over those of all other levels.",
    )
    enabled: Truth = Field(
        True, description="`false` switches the consumer off: whoever turns out to be it is refused with 401."
    )
