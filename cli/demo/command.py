"""`orderes demo`: the story, from the first process to the summary."""

import asyncio
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import IO

import click
import grpc

from cli.demo.crash import tell_crash
from cli.demo.house import house
from cli.demo.life import tell_life
from cli.demo.overload import tell_overload
from cli.demo.telling import Telling
from cli.output import console
from cli.supervisor import CannotStart
from orderes.client.failure import failure_of

LOG_LINES_SHOWN = 20
STORY_SECONDS_MAX = 120.0
"""What the slowest machine may take; it is a few seconds on most."""


@click.command("demo")
def demo() -> None:
    """See in a minute what OrderES promises.

    Runs against data and ports of its own, checks what it claims, and exits with 1 if a
    claim does not hold.
    """
    telling = Telling(console())
    with (
        _terminated_as_interrupted(),
        TemporaryDirectory(prefix="orderes-demo-") as name,
    ):
        directory = Path(name)
        log_path = directory / "processes.log"
        with log_path.open("wb") as log:
            held = _tell(directory, log, telling)
        if not held:
            _show_log(log_path)
    sys.exit(0 if held else 1)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does: the processes end, and their directory goes."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Looked up now, because asyncio has a handler of its own while it runs.
        handler = signal.getsignal(signal.SIGINT)
        (handler if callable(handler) else signal.default_int_handler)(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(directory: Path, log: IO[bytes], telling: Telling) -> bool:
    """Tells the story; whether all of it held."""
    started = time.monotonic()
    try:
        asyncio.run(_story(directory, log, telling))
    except (CannotStart, TimeoutError) as error:
        telling.claim(f"everything is there in time {error}".rstrip(), holds=False)
    except grpc.aio.AioRpcError as error:
        failure = failure_of(error)
        telling.refused(failure)
        telling.claim("every call of the story is answered", holds=False)
    return telling.summary(time.monotonic() - started)


async def _story(directory: Path, log: IO[bytes], telling: Telling) -> None:
    telling.say(
        "OrderES keeps what happened to orders as events in a log, and answers "
        "questions from tables that follow the log. Three processes start for this "
        "story, with data and ports of their own; what runs elsewhere is not touched."
    )
    async with house(directory, log, telling.note) as made:
        async with asyncio.timeout(STORY_SECONDS_MAX):
            await tell_life(made, telling)
            await tell_crash(made, telling)
            await tell_overload(made, telling)


def _show_log(path: Path) -> None:
    with path.open(errors="replace") as lines:
        newest = deque(lines, LOG_LINES_SHOWN)
    click.echo(f"\nThe newest {len(newest)} lines of the processes:\n", err=True)
    click.echo("".join(newest), err=True)
