"""What policies need beside themselves: services that only they ask, keys, and the route that publishes those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidegate.actions.signing_keys import signing_keys_route

if TYPE_CHECKING:
    from tidegate.config.targets_file import TargetsFile


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """Keys to sign with that the gateway makes itself, and keeps in a file."""

    file: str
    """Its absolute path; the engine knows the keys by it."""
    algorithm: str
    rotate_ms: int
    overlap_ms: int


@dataclass(slots=True)
class Implied:
    """Collected while policies are planned, by every part of the document; equal things of two parts are one."""

    services: dict[str, str] = field(default_factory=dict)
    """Parts of the plan, by name."""
    published: dict[str, dict[str, None]] = field(default_factory=dict)
    """Keys as the plan has them, by the path that publishes them."""
    kept: dict[str, KeptKeys] = field(default_factory=dict)
    """By file."""
    target_files: dict[str, TargetsFile] = field(default_factory=dict)
    """Files with the targets of services, by service."""

    def __bool__(self) -> bool:
        return bool(self.services or self.published or self.kept or self.target_files)

    def add(self, other: Implied) -> None:
        """Takes over what another part of the document needs."""
        self.services |= other.services
        for path, keys in other.published.items():
            self.published[path] = self.published.get(path, {}) | keys
        self.kept |= other.kept
        self.target_files |= other.target_files

    def routes(self, policies: str) -> list[str]:
        """Parts of the plan of the routes that publish keys; `policies` is the list of theirs."""
        return [signing_keys_route(path, keys, policies) for path, keys in self.published.items()]
