"""The calls under way, so that a server can drain.

The library's own `stop` can return while handlers still run
(https://github.com/grpc/grpc/issues/37239), and resets calls that it has not handed out yet: their
clients see a bare CANCELLED. So the server first lets calls end here, and closes when it is quiet.
"""

import asyncio
from dataclasses import dataclass

from eventcore.errors import ShuttingDown

_ROUNDING_SECONDS = 0.005
"""A timer is late by so much on a machine that has nothing else to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """When the library has no more calls to hand out.

    It hands them out one by one, each by way of a thread of its own. On a machine that is busy
    with other things that takes milliseconds for each, and stands still for longer now and then.
    """

    round_seconds: float = 0.02
    """Where no call was refused, one round without a call is enough."""
    rounds: int = 3
    """In a row, where calls were refused. It gets longer by the longest lag of the loop."""
    rounds_max: int = 50
    """Clients that never wait for an answer are no reason to go on. Rounds, and not seconds: what
    a busy machine does not let us have of them is not held against us."""
    seconds_max: float = 2.0
    """On the clock, whatever happens: it is part of what a shutdown may take beyond its grace."""


class InFlight:
    """The tasks that answer calls. For the event loop's thread only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.drain_began = asyncio.Event()
        """Set when new calls are refused, for calls that would not end by themselves."""
        self._refused_count = 0
        self._released = asyncio.Event()
        self._released.set()

    @property
    def draining(self) -> bool:
        """Whether new calls are refused."""
        return self.drain_began.is_set()

    def enter(self) -> asyncio.Task[object]:
        """Notes that the current task answers a call."""
        task = asyncio.current_task()
        assert task is not None  # The caller is a coroutine.
        if not self._tasks:
            self._empty.clear()
        self._tasks.add(task)
        return task

    def leave(self, task: asyncio.Task[object]) -> None:
        """Notes that its call is answered."""
        self._tasks.discard(task)
        self._ended.discard(task)
        if not self._tasks:
            self._empty.set()

    def was_ended(self, task: asyncio.Task[object]) -> bool:
        """Whether the task was cancelled by `end`, and not by its client."""
        return task in self._ended

    async def refuse(self) -> None:
        """What a new call gets during a drain.

        Raises:
            ShuttingDown: always; while calls are held, only after `release`.
        """
        self._refused_count += 1
        await self._released.wait()
        raise ShuttingDown

    async def drain(self, *, seconds: float) -> None:
        """Refuses new calls and waits, up to a bound, until none is under way."""
        self.drain_began.set()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return

    async def end(self, *, seconds: float) -> None:
        """Cancels what is under way, so that it is answered, and waits for that up to a bound."""
        self.drain_began.set()
        self._ended |= self._tasks
        for task in self._ended:
            task.cancel()
        await self.drain(seconds=seconds)

    async def hold(self, quiet: Quiet) -> None:
        """Holds new calls back, and returns when none has come for a while, or after a bound.

        A client that is refused comes again at once, one that waits does not. So the library has
        no call left that it would reset.
        """
        self._released.clear()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + quiet.seconds_max
        lag = lasted = 0.0
        for _ in range(quiet.rounds_max):
            seen, began = self._refused_count, loop.time()
            await asyncio.sleep(quiet.round_seconds)
            now = loop.time()
            lag = max(lag, now - began - quiet.round_seconds)
            # A round that took too long counts for no more: the library's thread stood still too.
            lasted = lasted + quiet.round_seconds if seen == self._refused_count else 0
            rounds = quiet.rounds if self._refused_count else 1
            needed = rounds * quiet.round_seconds + lag - _ROUNDING_SECONDS
            if lasted >= needed or now >= give_up:
                return

    def release(self) -> None:
        """Refuses the calls that were held back."""
        self._released.set()
