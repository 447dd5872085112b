"""The services of a document, none of them real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tidegate.config.problem import did_you_mean
from tidegate.testing.service import FakeService


class Services(Mapping[str, FakeService]):
    """Fake services by name: `services.orders`, or `services["order-service"]`; `services.order_service` is that, too.

    Policies that ask at a `url` have a service named after its origin: `services["http://auth.internal:80"]`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._services: dict[str, FakeService] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> FakeService:
        """The service of that name; a new one where there is none."""
        if name not in self._services:
            self._services[name] = FakeService(name)
        return self._services[name]

    def __getitem__(self, name: str) -> FakeService:
        return self._services[name]

    def __getattr__(self, name: str) -> FakeService:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._services.get(name) or self._services.get(name.replace("_", "-"))
        if found is None:
            hint = did_you_mean(name, self._services) or f"there are {', '.join(self._services) or 'none'}"
            raise AttributeError(f"the document has no service named `{name}`; {hint}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    @property
    def complaints(self) -> list[str]:
        """What is to be said about requests that nobody expected."""
        return [line for service in self._services.values() for line in service.complaints()]

    def assert_nothing_unexpected(self) -> None:
        """Fails if any service got a request that no rule took."""
        if complaints := self.complaints:
            raise AssertionError("\n".join(complaints))

    def reset(self) -> None:
        """Forgets all rules and requests."""
        for service in self._services.values():
            service.reset()

    def stop(self) -> None:
        """Ends all of them."""
        for service in self._services.values():
            service.stop()
