"""The read server under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.read_server.scene import NEVER, Scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """One that serves an empty log, and that only wake-ups can tell of news."""
    scene = Scene(tmp_path, poll_seconds=NEVER)
    await scene.project()
    async with scene.running():
        await scene.ready()
        yield scene
