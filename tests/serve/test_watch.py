"""The watcher on its own: what it tells and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tidegate.serve.watch import Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


def test_a_change_while_a_document_is_loaded_is_told(watcher: Watcher, tmp_path: Path) -> None:
    # The files of the document are named anew after each load; what changed since the last change was told must count.
    file = tmp_path / "gateway.yaml"
    file.write_text("one")
    watcher.watch([file])
    file.write_text("three")
    watcher.watch([file])
    with ThreadPoolExecutor() as threads:
        told = threads.submit(watcher.wait)
        try:
            assert told.result(timeout=10)
        finally:
            watcher.close()


def test_a_file_of_others_is_no_change(watcher: Watcher, tmp_path: Path) -> None:
    file, other = tmp_path / "gateway.yaml", tmp_path / "other.yaml"
    file.write_text("one")
    watcher.watch([file])
    other.write_text("not ours")
    with ThreadPoolExecutor() as threads:
        told = threads.submit(watcher.wait)
        watcher.close()
        assert told.result(timeout=10) is False
