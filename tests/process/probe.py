"""A process under test: `python -m tests.process.probe <what it does> [supervisor fd]`."""

import asyncio
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import structlog

from eventcore.errors import StartFailed, StoreBroken
from eventcore.process import lifecycle
from eventcore.process.lifecycle import Stop, run_process
from eventcore.process.settings import ProcessSettings

log = structlog.get_logger()


async def wait(stop: Stop) -> None:
    """Serves until it is told to stop."""
    log.info("listening", loop=type(asyncio.get_running_loop()).__module__)
    await stop.wait()
    log.info("drained")


async def fail_to_start(_stop: Stop) -> None:
    raise StartFailed("the port is in use: choose another")


async def fail_to_start_in_a_group(stop: Stop) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail_to_start(stop))


async def crash(_stop: Stop) -> None:
    raise ValueError("something broke")


async def break_down(stop: Stop) -> None:
    """Meets a fatal error, and drains."""
    stop.set(StoreBroken("the disk is gone"))
    await stop.wait()
    log.info("drained")


async def end_unasked(_stop: Stop) -> None:
    """Ends although nobody has asked for it."""


async def hang(_stop: Stop) -> None:
    """Never drains."""
    log.info("listening")
    await asyncio.Event().wait()


async def chatter(stop: Stop) -> None:
    """Logs several times what a pipe holds, and serves until it is told to stop."""
    for _ in range(1000):
        log.info("chatter", text="x" * 200)
    await stop.wait()


async def hang_in_a_call(stop: Stop) -> None:
    """Blocks the event loop when it should drain."""
    log.info("listening")
    await stop.wait()
    time.sleep(3600)  # noqa: ASYNC251  # That is the point.


async def crash_and_hang(stop: Stop) -> None:
    """Breaks, and cannot close."""
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    await crash(stop)


async def speak(stop: Stop) -> None:
    """Logs in every way."""
    log.debug("too_quiet")
    log.info("ids", command_id="c1", position=7, path=sys, text="gr\u00fc\u00df\nGott")
    logging.getLogger("library").info("library_too_quiet")
    logging.getLogger("library").warning("library %s", "speaks")
    warnings.warn("careful", stacklevel=1)
    try:
        await crash(stop)
    except ValueError:
        log.exception("failed")


MODES: dict[str, Callable[[Stop], Coroutine[Any, Any, None]]] = {
    function.__name__: function
    for function in (
        wait,
        fail_to_start,
        fail_to_start_in_a_group,
        crash,
        break_down,
        end_unasked,
        hang,
        chatter,
        hang_in_a_call,
        crash_and_hang,
        speak,
    )
}


def of_before(_number: int, _frame: FrameType | None) -> None:
    """A handler that was there before the process began."""


def main() -> int:
    """Runs the mode, and checks that the signal handlers are those of before."""
    mode, *rest = sys.argv[1:]
    lifecycle.SHUTDOWN_MARGIN_SECONDS = 0.2
    lifecycle.LAST_LINES_SECONDS_MAX = 0.05
    settings = ProcessSettings(
        shutdown_grace_seconds=0.2, supervisor_fd=int(rest[0]) if rest else None
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, of_before)
    code = run_process("probe", settings, MODES[mode])
    for number in (signal.SIGTERM, signal.SIGINT):
        assert signal.getsignal(number) is of_before
    return code


if __name__ == "__main__":
    sys.exit(main())
