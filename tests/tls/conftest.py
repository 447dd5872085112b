from __future__ import annotations

from pathlib import Path

import pytest

from tests.tls.certificates import Authority, Issued


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="session")
def localhost(authority: Authority) -> Issued:
    return authority.issue("localhost", "127.0.0.1")
