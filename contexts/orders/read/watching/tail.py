"""What happens now, for all who watch: read once, and kept in memory for a while.

However many watch, a commit costs one read. Who cannot keep up loses nothing and is waited for by
nobody: what has left the memory meanwhile is read from the read model again.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from operator import attrgetter

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.watching.past import as_watched, newest_events
from contexts.orders.read.watching.watched import Batch, Wanted, Watched, batch_of
from eventcore.errors import ShuttingDown, StoreUnavailable
from eventcore.freshness import Freshness, is_current
from eventcore.messages import Instant

EVENTS_KEPT_MAX = 4_096
BYTES_KEPT_MAX = 8 * 1024 * 1024
"""What is kept in memory, at most, beside what was read last. When it is full, half is kept."""

EVENTS_PER_READ = 256
QUIET_SECONDS = 5.0
"""How long a wait for news lasts before it begins again."""
STORE_AWAY_SECONDS = 0.5
"""When a read store that does not answer is asked again."""


class Tail:
    """The newest events. It is kept only while somebody watches."""

    def __init__(
        self, moments: Moments, freshness: Freshness, clock: Callable[[], Instant]
    ) -> None:
        self._moments = moments
        self._freshness = freshness
        self._clock = clock
        self._events: list[Watched] = []
        self._bytes = 0
        self._start = 0
        self._end = 0
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._closing = asyncio.Event()
        self._watchers = 0
        self._following: asyncio.Task[None] | None = None

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
            ShuttingDown: it is closed.
            ProjectionLagging: there is nothing to answer from yet.
            StoreUnavailable: the read store does not answer.
        """
        self.check_open()
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
        self._closing.set()
        self._notify()

    def check_open(self) -> None:
        """Raises `ShuttingDown` if it is closed."""
        if self._closing.is_set():
            raise ShuttingDown

    def batch(self, wanted: Wanted, *, after_position: int) -> Batch:
        """What is wanted and lies beyond a position, which is not before `start`."""
        first = bisect_right(self._events, after_position, key=attrgetter("position"))
        # By index and not by a slice: a batch is far shorter than what is kept.
        events = (self._events[i] for i in range(first, len(self._events)))
        return batch_of(
            ((each.position, each.answer) for each in events if wanted.matches(each)),
            end=self._end,
        )

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
        self.check_open()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    async def store_away(self) -> None:
        """Waits before a read store that has not answered is asked again.

        Raises:
            ShuttingDown: it is closed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(STORE_AWAY_SECONDS):
                await self._closing.wait()
        self.check_open()

    async def is_end_of_log(self, position: int) -> bool:
        """Whether nothing is known to lie beyond a position, and that is known as of now.

        While the projector stands still, nobody knows.

        Raises:
            ProjectionLagging: there is nothing to answer from any more.
        """
        if position < self._end:
            return False
        try:
            checkpoint = await self._freshness.look(ORDER_EVENTS)
        except StoreUnavailable:
            return False
        newest = max(checkpoint.position, checkpoint.head_position)
        return position >= newest and is_current(checkpoint, now=self._clock())

    @property
    def _is_over(self) -> bool:
        return self._closing.is_set() or self._failure is not None

    def _begin(self, position: int) -> None:
        self._events, self._bytes = [], 0
        self._start = self._end = position
        self._failure = None
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(self._ended)

    async def _stop(self) -> None:
        following, self._following = self._following, None
        self._events, self._bytes = [], 0
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(self) -> None:
        # An error on the way out may hide that it was cancelled: so it looks itself whether it is
        # still the one.
        while self._following is asyncio.current_task():
            try:
                checkpoint = await self._freshness.beyond(
                    self._end, projection=ORDER_EVENTS, seconds=QUIET_SECONDS
                )
                if checkpoint.position > self._end:
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
            self._forget()
        self._notify()

    def _forget(self) -> None:
        """Keeps as many of the newest events as fill half of what may be kept."""
        first, size = len(self._events), 0
        while first and len(self._events) - first < EVENTS_KEPT_MAX // 2:
            size += len(self._events[first - 1].answer)
            if size > BYTES_KEPT_MAX // 2:
                break
            first -= 1
        self._start = self._events[first - 1].position
        self._events = self._events[first:]
        self._bytes = sum(len(event.answer) for event in self._events)

    def _ended(self, following: "asyncio.Task[None]") -> None:
        if not following.cancelled() and following is self._following:
            error = following.exception()
            assert isinstance(error, Exception), "it has no other end"
            self._failure = error
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
