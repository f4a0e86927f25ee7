"""The calls under way, so that a server can drain.

The library's own `stop` can return while handlers still run
(https://github.com/grpc/grpc/issues/37239), and resets calls that it has not handed out yet: their
clients see a bare CANCELLED. So the server first lets calls end here, and closes when it is quiet.
"""

import asyncio

from eventcore.errors import ShuttingDown


class InFlight:
    """The tasks that answer calls. For the event loop's thread only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self._refused_count = 0
        self._released = asyncio.Event()
        self._released.set()

    @property
    def draining(self) -> bool:
        """Whether new calls are refused."""
        return self._draining

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
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return

    async def end(self, *, seconds: float) -> None:
        """Cancels what is under way, so that it is answered, and waits for that up to a bound."""
        self._draining = True
        self._ended |= self._tasks
        for task in self._ended:
            task.cancel()
        await self.drain(seconds=seconds)

    async def hold(self, *, quiet_seconds: float, seconds_max: float) -> None:
        """Holds new calls back, and returns when none has come for a while, or after a bound.

        A client that is refused comes again at once, one that waits does not. So the library has
        no call left that it would reset.
        """
        self._released.clear()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds_max
        seen = -1
        while seen != self._refused_count and loop.time() < give_up:
            seen = self._refused_count
            await asyncio.sleep(quiet_seconds)

    def release(self) -> None:
        """Refuses the calls that were held back."""
        self._released.set()
