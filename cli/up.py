"""`orderes up`: the three processes under one supervisor."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click

from cli.banner import print_banner
from cli.output import forget_reader
from cli.readiness import until_serving
from cli.supervisor import CannotStart, ChildSpec, Supervisor
from cli.up_settings import (
    NOT_PASSED_ON,
    PROCESSES,
    UpSettings,
    flags_of,
    load_up_settings,
)
from eventcore.errors import StartFailed
from eventcore.process.lifecycle import start_failed
from eventcore.process.settings import settings_options

SLOW_START_SECONDS = 30.0
"""After so long a start that has not ended is worth a line."""


@click.command("up")
@settings_options(UpSettings)
def up(**flags: object) -> None:
    """Run the write server, the projector and the read server.

    A process that dies is started again. Ctrl-C or SIGTERM drains and stops all three.
    """
    try:
        settings = load_up_settings(flags)
    except StartFailed as error:
        sys.exit(start_failed("up", error))
    sys.exit(asyncio.run(_run(settings)))


# What is not passed on to the processes means nothing here either.
up.params = [param for param in up.params if param.name not in NOT_PASSED_ON]


def child_specs(settings: UpSettings) -> list[ChildSpec]:
    """The three processes with their settings."""
    return [
        ChildSpec(
            name=process.name,
            module=process.module,
            flags=flags_of(settings, process),
            is_ready=partial(
                until_serving,
                str(getattr(settings, process.address)),
                process.services,
            ),
        )
        for process in PROCESSES
    ]


async def _run(settings: UpSettings) -> int:
    """Runs until it is told to stop; the exit code."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _tell(f"starting in {settings.data_dir.absolute()}")
    supervisor = Supervisor(
        child_specs(settings),
        grace_seconds=settings.shutdown_grace_seconds,
        tell=_tell,
    )
    try:
        async with supervisor:
            await _supervise(supervisor, settings, stopped)
            _tell("stopping")
    except CannotStart as error:
        reason = StartFailed(f"{error}: its message is above; everything is stopped")
        return start_failed("up", reason)
    _tell("stopped")
    return 0


async def _supervise(
    supervisor: Supervisor, settings: UpSettings, stopped: asyncio.Event
) -> None:
    """Returns when it is told to stop."""
    supervisor.start()
    stopping = asyncio.create_task(stopped.wait())
    failing = asyncio.create_task(supervisor.failed())
    announcing = asyncio.create_task(_announce(supervisor, settings))
    try:
        await asyncio.wait([stopping, failing], return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
    finally:
        tasks = (stopping, failing, announcing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(supervisor: Supervisor, settings: UpSettings) -> None:
    try:
        async with asyncio.timeout(SLOW_START_SECONDS):
            await supervisor.all_ready()
    except TimeoutError:
        slow = [child for child in supervisor.children.values() if not child.was_ready]
        names = ", ".join(f"the {child.spec.name}" for child in slow)
        _tell(f"still waiting for {names}; the log tells why")
        await supervisor.all_ready()
    with _going_on_unread():
        print_banner(settings)


def _tell(line: str) -> None:
    with _going_on_unread():
        click.echo(f"orderes up: {line}")


@contextmanager
def _going_on_unread() -> Iterator[None]:
    """Where nobody reads any more, a closed terminal or the far end of a pipe, the
    processes are kept running all the same.
    """
    try:
        yield
    except OSError:
        forget_reader()
