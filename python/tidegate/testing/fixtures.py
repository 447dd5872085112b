"""Fixtures for pytest: `pytest_plugins = ["tidegate.testing.fixtures"]` in the `conftest.py` beside your tests.

Nothing of it is loaded into the tests of who does not ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.testing.gateway import Document, RunningGateway, start
from tidegate.testing.services import Services

StartGateway = Callable[..., RunningGateway]

INI = "tidegate_document"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The name of the document can be set for all tests."""
    parser.addini(INI, "the document that the fixture `gateway` starts", default="gateway.yaml")


@pytest.fixture
def gateway_document(request: pytest.FixtureRequest) -> Document:
    """The document of the fixture `gateway`: override it where tests use another.

    By default the file that `tidegate_document` names in the settings of pytest, or `gateway.yaml`; relative names
    start at the settings' folder.
    """
    return Path(request.config.rootpath / str(request.config.getini(INI)))


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    """Starts gateways, `start_gateway("gateway.yaml")`, with the arguments of `tidegate.testing.start`.

    They are stopped when the test ends. It fails if a service got a request that nobody expected.
    """
    running: list[RunningGateway] = []

    def begin(document: Document, **options: object) -> RunningGateway:
        running.append(start(document, **options))  # type: ignore[arg-type]
        return running[-1]

    yield begin
    complaints = [line for one in running for line in one.services.complaints]
    for one in running:
        one.stop()
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def gateway(start_gateway: StartGateway, gateway_document: Document) -> RunningGateway:
    """A running gateway with the document of `gateway_document`."""
    return start_gateway(gateway_document)


@pytest.fixture
def services(gateway: RunningGateway) -> Services:
    """The services of that gateway: `services.orders.get("/orders/1").returns(json={"id": 1})`."""
    return gateway.services
