"""Keeps processes running: starts them, restarts what dies, and stops them all.

Nothing of it outlives its end, however it ends: every child holds the read end of a pipe
whose write end only the supervisor has. When the supervisor is gone, even by kill -9,
the kernel closes that end; the children read end-of-file, drain and exit.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from eventcore.process.lifecycle import EXIT_CANNOT_START, SHUTDOWN_MARGIN_SECONDS

BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 5.0
STABLE_SECONDS = 10.0
"""A process that lived so long was well: its next restart is a quick one again."""
STOP_MARGIN_SECONDS = SHUTDOWN_MARGIN_SECONDS + 2.0
"""What a child gets beyond its grace: it cuts itself off before it has to be killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A process to keep running, and how to know that it serves."""

    name: str
    """For people: "write server"."""
    module: str
    """What `python -m` runs."""
    flags: tuple[str, ...]
    is_ready: Callable[[], Awaitable[None]]
    """Returns once the process serves. Cancelled when the process dies before that."""


class CannotStart(Exception):
    """A child cannot start as it is set up, and told so on stderr; restarting is no use."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the {name} cannot start")
        self.name = name


@dataclass(slots=True, kw_only=True)
class Child:
    """A process that is kept running."""

    spec: ChildSpec
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    """How often it was started."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it serves."""
    was_ready: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Runs children from `start` to the end of its `async with` block."""

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        *,
        grace_seconds: float,
        tell: Callable[[str], None],
        output: IO[bytes] | None = None,
    ) -> None:
        self.children = {spec.module: Child(spec=spec) for spec in specs}
        self._stop_seconds_max = grace_seconds + STOP_MARGIN_SECONDS
        self._tell = tell
        self._output = output
        """Where the children write; None: where the supervisor writes."""
        self._keepers: list[asyncio.Task[None]] = []
        self._alive_fd, self._held_fd = os.pipe()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Starts every child; they come up beside each other."""
        self._keepers = [
            asyncio.create_task(self._keep(child), name=child.spec.module)
            for child in self.children.values()
        ]

    async def all_ready(self) -> None:
        """Returns once every child serves.

        Raises:
            CannotStart: one cannot start as it is set up.
        """
        for child in self.children.values():
            await self._unless_failed(child.ready.wait())

    async def failed(self) -> None:
        """Returns never.

        Raises:
            CannotStart: a child cannot start as it is set up.
        """
        await asyncio.gather(*self._keepers)

    async def stop(self) -> None:
        """Asks every child to end and waits; kills what does not. Idempotent."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        running = [child for child in self.children.values() if child.is_running]
        for child in running:
            _signal(child, signal.SIGTERM)
        await asyncio.gather(*(self._ended(child) for child in running))
        for fd in (self._alive_fd, self._held_fd):
            if fd >= 0:
                os.close(fd)
        self._alive_fd = self._held_fd = -1

    async def _unless_failed(self, waiting: Coroutine[None, None, object]) -> None:
        waiter = asyncio.create_task(waiting)
        try:
            await asyncio.wait(
                [waiter, *self._keepers], return_when=asyncio.FIRST_COMPLETED
            )
            for keeper in self._keepers:
                if keeper.done():
                    keeper.result()
        finally:
            waiter.cancel()

    async def _keep(self, child: Child) -> None:
        """Runs a child again and again, until cancelled."""
        backoff_seconds = BACKOFF_SECONDS_MIN
        while True:
            started = time.monotonic()
            code = await self._run_once(child)
            # Later on the same code is worth another try: what took the port or the data
            # may let go of it again.
            if code == EXIT_CANNOT_START and (child.starts == 1 or not child.was_ready):
                raise CannotStart(child.spec.name)
            if time.monotonic() - started >= STABLE_SECONDS:
                backoff_seconds = BACKOFF_SECONDS_MIN
            self._tell(
                f"the {child.spec.name} {_how_it_ended(code)}; "
                f"starting it again in {backoff_seconds:g} s"
            )
            await asyncio.sleep(backoff_seconds)
            backoff_seconds = min(2 * backoff_seconds, BACKOFF_SECONDS_MAX)

    async def _run_once(self, child: Child) -> int:
        """Starts a child and waits for its end; its exit code, or minus the signal."""
        await self._launch(child)
        assert child.process is not None
        readiness = asyncio.create_task(self._note_ready(child))
        try:
            return await child.process.wait()
        finally:
            readiness.cancel()
            child.ready.clear()

    async def _launch(self, child: Child) -> None:
        # Shielded: a cancelled start would leave a process that nobody knows of.
        launching = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                child.spec.module,
                *child.spec.flags,
                f"--supervisor-fd={self._alive_fd}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[self._alive_fd],
                # Ctrl-C in a terminal is for the supervisor: it stops the children.
                start_new_session=True,
            )
        )
        try:
            child.process = await asyncio.shield(launching)
        except asyncio.CancelledError:
            child.process = await launching
            raise
        child.starts += 1

    async def _note_ready(self, child: Child) -> None:
        await child.spec.is_ready()
        if child.was_ready:
            self._tell(f"the {child.spec.name} serves again")
        child.was_ready = True
        child.ready.set()

    async def _ended(self, child: Child) -> None:
        assert child.process is not None
        try:
            await asyncio.wait_for(child.process.wait(), self._stop_seconds_max)
        except TimeoutError:
            self._tell(
                f"the {child.spec.name} did not end within "
                f"{self._stop_seconds_max:g} s: killed"
            )
            _signal(child, signal.SIGKILL)
            await child.process.wait()


def _signal(child: Child, number: signal.Signals) -> None:
    assert child.process is not None
    try:
        child.process.send_signal(number)
    except ProcessLookupError:
        return  # It ended in this moment, which is what the signal is for.


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
