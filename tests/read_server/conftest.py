"""The read server under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contexts.orders.read.watching import past, tail
from contexts.orders.wire import watching
from tests.read_server.scene import NEVER, Scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """One that serves an empty log, and that only wake-ups can tell of news."""
    scene = Scene(tmp_path, poll_seconds=NEVER)
    await scene.project()
    async with scene.running():
        await scene.ready()
        yield scene


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little is read at a time, and kept in memory, that a few events are many."""
    monkeypatch.setattr(past, "ROWS_PER_PAGE_FIRST", 3)
    monkeypatch.setattr(past, "ROWS_PER_PAGE_MIN", 1)
    monkeypatch.setattr(past, "ROWS_PER_PAGE_MAX", 3)
    monkeypatch.setattr(past, "POSITIONS_PER_PAGE_MIN", 5)
    monkeypatch.setattr(past, "POSITIONS_PER_PAGE_MAX", 5)
    monkeypatch.setattr(tail, "EVENTS_PER_READ", 3)
    monkeypatch.setattr(tail, "EVENTS_KEPT_MAX", 8)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks may be asked for as often as a test has patience."""
    monkeypatch.setattr(watching, "MARK_SECONDS_MIN", 0.01)
