from collections.abc import Iterator

import pytest

from tests.echo import echo_service, start
from tests.identity.issuer import Issuer

__all__ = ["echo_service", "issuer", "start"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer with one RSA key, `k1`."""
    made = Issuer()
    yield made
    made.stop()
