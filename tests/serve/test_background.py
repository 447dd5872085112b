"""Slow work runs on a loop of its own, and none of it is lost without a word."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tidegate.serve.background import Background

from tests.harness import DEADLINE, eventually


@pytest.fixture
def background() -> Iterator[Background]:
    started = Background()
    yield started
    started.stop()


def test_work_runs_on_one_thread_of_its_own(background: Background) -> None:
    ran: list[str] = []

    async def work() -> None:
        ran.append(threading.current_thread().name)

    background.spawn(work(), "one")
    background.spawn(work(), "two")
    eventually(lambda: len(ran) == 2)
    assert ran == ["tidegate-background"] * 2


def test_without_work_there_is_no_thread() -> None:
    before = threading.active_count()
    background = Background()
    assert threading.active_count() == before
    background.stop()


def test_stop_cancels_what_runs_and_begins_nothing_more(background: Background) -> None:
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    background.spawn(work(), "endless")
    assert began.wait(DEADLINE)
    background.stop()
    assert ended.is_set()
    background.spawn(work(), "late")
    background.stop()


def test_work_that_fails_is_in_the_log_and_hurts_no_other(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise ValueError("as expected")

    background.spawn(fails(), "the failing work")
    eventually(lambda: "the failing work" in caplog.text)
    assert "as expected" in caplog.text
    assert background.call(lambda: 42) == 42
