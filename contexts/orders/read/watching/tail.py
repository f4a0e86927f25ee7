"""What happens now, for all who watch: read once, and kept in memory for a while.

However many watch, a commit costs one read. Who cannot keep up loses nothing and is waited for by
nobody: what has left the memory meanwhile is read from the read model again.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from operator import attrgetter
from typing import NoReturn

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.watching.past import as_watched, newest_events
from contexts.orders.read.watching.watched import Batch, Wanted, Watched, batch_of
from eventcore.errors import ShuttingDown, StoreUnavailable
from eventcore.freshness import Freshness

EVENTS_KEPT_MAX = 4_096
BYTES_KEPT_MAX = 8 * 1024 * 1024
"""What is kept in memory, at most. Half of it goes when it is full."""

EVENTS_PER_READ = 256
QUIET_SECONDS = 5.0
"""How long a wait for news lasts before it begins again."""
STORE_AWAY_SECONDS = 0.5
"""When a read store that does not answer is asked again."""


class Tail:
    """The newest events. It is kept only while somebody watches."""

    def __init__(self, moments: Moments, freshness: Freshness) -> None:
        self._moments = moments
        self._freshness = freshness
        self._events: list[Watched] = []
        self._bytes = 0
        self._start = 0
        self._end = 0
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._closed = False
        self._watchers = 0
        self._following: asyncio.Task[NoReturn] | None = None

    @property
    def start(self) -> int:
        """Whatever lies beyond this position is here."""
        return self._start

    @property
    def end(self) -> int:
        """Up to this position."""
        return self._end

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keeps the newest events meanwhile, from now on.

        Raises:
            ProjectionLagging: there is nothing to answer from yet.
            StoreUnavailable: the read store does not answer.
        """
        if self._following is None or self._following.done():
            position = (await self._freshness.look(ORDER_EVENTS)).position
            if self._following is None or self._following.done():
                self._begin(position)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                await self._stop()

    def close(self) -> None:
        """Ends all waits, and those to come, with `ShuttingDown`."""
        self._closed = True
        self._notify()

    def batch(self, wanted: Wanted, *, after_position: int) -> Batch:
        """What is wanted and lies beyond a position, which is not before `start`."""
        first = bisect_right(self._events, after_position, key=attrgetter("position"))
        # By index and not by a slice: a batch is far shorter than what is kept.
        events = (self._events[i] for i in range(first, len(self._events)))
        return batch_of(events, wanted, end=self._end)

    async def news(self, after_position: int, *, seconds: float) -> None:
        """Returns when there is something beyond a position, or the time has passed.

        Raises:
            ShuttingDown: it is closed.
            ProjectionLagging: there is nothing to answer from any more.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._end <= after_position and not self._is_over:
                    await self._changed.wait()
        if self._closed:
            raise ShuttingDown
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    @property
    def _is_over(self) -> bool:
        return self._closed or self._failure is not None

    def _begin(self, position: int) -> None:
        self._events, self._bytes = [], 0
        self._start = self._end = position
        self._failure = None
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(self._ended)

    async def _stop(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if self._following is None:
            self._events, self._bytes = [], 0

    async def _follow(self) -> NoReturn:
        while True:
            try:
                checkpoint = await self._freshness.beyond(
                    self._end, projection=ORDER_EVENTS, seconds=QUIET_SECONDS
                )
                while self._end < checkpoint.position:
                    await self._read()
            except StoreUnavailable:
                # Who watches waits on; the next look may find the store again.
                await asyncio.sleep(STORE_AWAY_SECONDS)

    async def _read(self) -> None:
        async with self._moments.open(ORDER_EVENTS) as moment:
            last = moment.known.checkpoint.position
            table = moment.table(order_events)
            rows = await moment.fetch(
                newest_events(table, self._end, last, EVENTS_PER_READ)
            )
        events = [as_watched(row) for row in rows]
        self._events.extend(events)
        self._bytes += sum(len(event.answer) for event in events)
        self._end = events[-1].position if len(events) == EVENTS_PER_READ else last
        if len(self._events) > EVENTS_KEPT_MAX or self._bytes > BYTES_KEPT_MAX:
            self._forget_half()
        self._notify()

    def _forget_half(self) -> None:
        half = len(self._events) // 2
        self._start = self._events[half - 1].position
        self._events = self._events[half:]
        self._bytes = sum(len(event.answer) for event in self._events)

    def _ended(self, following: "asyncio.Task[NoReturn]") -> None:
        if not following.cancelled() and following is self._following:
            error = following.exception()
            assert isinstance(error, Exception), "it has no other end"
            self._failure = error
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
