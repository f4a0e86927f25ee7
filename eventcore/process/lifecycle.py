"""The life of a process: logs, event loop, signals, drain, exit code."""

import asyncio
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog

from eventcore.errors import StartFailed, StoreReplaced
from eventcore.process.logs import configure_logs, flush_logs
from eventcore.process.settings import ProcessSettings

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CANNOT_START = 78
"""EX_CONFIG of sysexits.h: starting again without a change will fail again."""

SHUTDOWN_MARGIN_SECONDS = 5.0
"""What a shutdown may take beyond the grace of calls under way: to end the rest, to close."""

LAST_LINES_SECONDS_MAX = 1.0
"""How long the end of a process waits for its last log lines to be read."""

GARBAGE_THRESHOLDS = (5_000, 4, 500)
"""Python's own have it look for garbage after every 700 new objects, which a batch of commands
makes many times over. With these the work around a command, in batches of 64, took an eighth less
time; hardly anything here is a cycle that needs them. The middle number is small because most of
what is new then lives on, as orders in memory do, and is looked at in one go: with 20 such a pause
took up to a quarter of a second, which was the p99 of payments beside bulk work."""

_STDERR_FD = 2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


class Stop:
    """Tells a process to drain and end. For the event loop's thread only."""

    def __init__(self, on_set: Callable[[], None] | None = None) -> None:
        """`on_set` is called once, before anyone who waits goes on."""
        self._event = asyncio.Event()
        self._error: BaseException | None = None
        self._on_set = on_set

    def set(self, error: BaseException | None = None) -> None:
        """Asks for the end. An error is fatal: the exit code is 1 after the drain.

        Idempotent; the first error counts.
        """
        self._error = self._error or error
        if self._on_set is not None and not self._event.is_set():
            self._on_set()
        self._event.set()

    async def wait(self) -> None:
        """Returns once the end was asked for."""
        await self._event.wait()

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()

    @property
    def error(self) -> BaseException | None:
        """The fatal error, if there was one."""
        return self._error


def run_process(
    name: str,
    settings: ProcessSettings,
    serve: Callable[[Stop], Coroutine[Any, Any, None]],
) -> int:
    """Runs a process to its end and returns its exit code.

    `serve` starts everything, waits for `Stop`, drains within `shutdown_grace_seconds` and returns.
    SIGTERM, SIGINT and the death of the supervisor set `Stop`; a second signal ends the process at
    once. A shutdown that exceeds the grace and `SHUTDOWN_MARGIN_SECONDS` is cut off with exit code
    1, and the stacks of all threads are written to standard error.

    Returns:
        0 after a drain; 78 if `serve` raises `StartFailed`, with its message on standard error; 1
        for anything else, with a log line that holds the traceback.
    """
    configure_logs(
        process=name, level=settings.log_level, log_format=settings.log_format
    )
    # All that was imported stays to the end: no collection need look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve_until_stopped(settings, serve))
    except BaseException as error:  # Whatever it was, it becomes an exit code.
        failure = _start_failure(error)
        if failure is not None:
            return start_failed(name, failure)
        # A file that was replaced is no fault of the code: where it was noticed tells nothing.
        shown = None if isinstance(error, StoreReplaced) else error
        log.critical("crashed", reason=str(error), exc_info=shown)
        return EXIT_FAILED
    finally:
        flush_logs(seconds_max=LAST_LINES_SECONDS_MAX)
        faulthandler.cancel_dump_traceback_later()


def start_failed(name: str, error: StartFailed) -> int:
    """Tells on standard error why a process cannot start; returns the exit code for it."""
    sys.stderr.write(f"orderes {name}: {error.message}\n")
    return EXIT_CANNOT_START


async def _serve_until_stopped(
    settings: ProcessSettings, serve: Callable[[Stop], Coroutine[Any, Any, None]]
) -> int:
    shutdown_seconds = settings.shutdown_grace_seconds + SHUTDOWN_MARGIN_SECONDS
    stop = Stop(on_set=partial(_cut_off_after, shutdown_seconds))
    with _signals_set(stop), _supervisor_watched(stop, settings.supervisor_fd):
        try:
            await serve(stop)
        finally:
            # Where it ends unasked, closing what is left is bounded too.
            if not stop.is_set:
                _cut_off_after(SHUTDOWN_MARGIN_SECONDS)
    if stop.error is not None:
        raise stop.error
    if not stop.is_set:
        log.critical("stopped_unasked")
        return EXIT_FAILED
    log.info("stopped")
    return EXIT_STOPPED


def _cut_off_after(seconds: float) -> None:
    # A thread in C does it: it needs neither the event loop nor the interpreter to be free.
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STDERR_FD)


@contextmanager
def _signals_set(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`; afterwards the handlers of before are back."""
    loop = asyncio.get_running_loop()
    asked = False

    def ask(name: str) -> None:
        nonlocal asked
        if asked:
            log.warning("stopping_at_once", reason=name)
            flush_logs(seconds_max=LAST_LINES_SECONDS_MAX)
            os._exit(EXIT_FAILED)
        asked = True
        stop.set()
        log.info("stopping", reason=name)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, ask, number.name)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextmanager
def _supervisor_watched(stop: Stop, fd: int | None) -> Iterator[None]:
    """The end of the pipe sets `stop`: its other end is open as long as the supervisor lives."""
    if fd is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(fd, 4096):
            loop.remove_reader(fd)
            stop.set()
            log.warning("stopping", reason="supervisor is gone")

    try:
        os.set_blocking(fd, False)
        loop.add_reader(fd, read)
    except OSError as error:
        raise StartFailed(
            f"supervisor_fd {fd} is not the read end of a pipe ({error.strerror})"
        ) from None
    try:
        yield
    finally:
        loop.remove_reader(fd)


def _start_failure(error: BaseException) -> StartFailed | None:
    """The reason why it cannot start, also from within a task group; None if it crashed."""
    match error:
        case StartFailed():
            return error
        case BaseExceptionGroup():
            failures = [_start_failure(member) for member in error.exceptions]
            return failures[0] if all(failures) else None
        case _:
            return None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop, which saves a fifth of the time of a call, where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # An extra.
    except ImportError:
        return None
    return uvloop.new_event_loop
