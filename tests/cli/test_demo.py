"""The demo checks what it claims, and says so if it is not so."""

import asyncio
import io
import os
import signal
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.__main__ import main
from cli.demo import command
from cli.demo.telling import Telling


def test_a_claim_that_does_not_hold_is_told_again_at_the_end() -> None:
    out = io.StringIO()
    telling = Telling(Console(file=out, soft_wrap=True))

    telling.claim("water is wet", holds=True)
    telling.claim("fire is cold", holds=False)

    assert telling.summary(1.0) is False
    assert "✗ does not hold: fire is cold" in out.getvalue()
    assert out.getvalue().endswith("1 of 2 claims held, in 1 s.\n  ✗ fire is cold\n")


@pytest.mark.parametrize(("holds", "exit_code"), [(True, 0), (False, 1)])
def test_the_exit_code_tells_whether_every_claim_held(
    monkeypatch: pytest.MonkeyPatch, *, holds: bool, exit_code: int
) -> None:
    async def story(directory: Path, log: IO[bytes], telling: Telling) -> None:
        await asyncio.to_thread(log.write, b"a line of a process\n")
        telling.claim("it is so", holds=holds)

    monkeypatch.setattr(command, "_story", story)

    result = CliRunner().invoke(main, ["demo"])

    assert result.exit_code == exit_code
    assert ("a line of a process" in result.stderr) is not holds


def test_a_story_that_takes_too_long_ends_with_a_claim_that_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(directory: Path, log: IO[bytes], telling: Telling) -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    monkeypatch.setattr(command, "_story", story)

    result = CliRunner().invoke(main, ["demo"])

    assert result.exit_code == 1
    assert "does not hold: everything is there in time" in result.output
    assert "Traceback" not in result.output


def test_a_demo_that_is_terminated_takes_its_directory_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directories: list[Path] = []
    ends: list[str] = []

    async def story(directory: Path, log: IO[bytes], telling: Telling) -> None:
        directories.append(directory)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        finally:
            ends.append("the processes are stopped")

    monkeypatch.setattr(command, "_story", story)
    before = signal.getsignal(signal.SIGTERM)

    result = CliRunner().invoke(main, ["demo"])

    assert result.exit_code == 1
    assert ends == ["the processes are stopped"]
    assert not directories[0].exists()
    assert signal.getsignal(signal.SIGTERM) is before
