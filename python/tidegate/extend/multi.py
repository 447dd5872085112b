"""Fields that may come more than once: headers and query parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class Multi(Mapping[str, str]):
    """Names and values in order. As a mapping it gives the first value of a name; `get_all` gives every one."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)

    @staticmethod
    def _fold(name: str) -> str:
        return name

    def __getitem__(self, name: str) -> str:
        folded = self._fold(name)
        for known, value in self._pairs:
            if known == folded:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self._pairs})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._pairs)!r})"

    def get_all(self, name: str) -> list[str]:
        """Every value of a name, in order."""
        folded = self._fold(name)
        return [value for known, value in self._pairs if known == folded]

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every name with its value, in order, with repetitions."""
        return self._pairs


class Headers(Multi):
    """Header fields; names compare without case and are given in lower case."""

    __slots__ = ()

    @staticmethod
    def _fold(name: str) -> str:
        return name.lower()
