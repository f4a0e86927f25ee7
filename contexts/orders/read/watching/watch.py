"""Streams of events for who watches: history, then live, with marks to resume from."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS
from contexts.orders.read.watching.past import READS_MAX, Past
from contexts.orders.read.watching.tail import Tail
from contexts.orders.read.watching.watched import Batch, Wanted
from contexts.orders.wire.watching import WatchOrders, watch_mark, watched_event
from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    OutOfRange,
    PositionNotReached,
    StoreUnavailable,
    TooManyCalls,
)
from eventcore.freshness import (
    LAGGING_RETRY_SECONDS,
    MAX_WAIT_SECONDS_DEFAULT,
    Freshness,
    Requirement,
    is_current,
)
from eventcore.messages import Instant


class OrderWatch:
    """Serves all who watch orders."""

    def __init__(
        self,
        *,
        moments: Moments,
        freshness: Freshness,
        clock: Callable[[], Instant],
        streams_max: int,
    ) -> None:
        self._moments = moments
        self._freshness = freshness
        self._clock = clock
        self._streams_max = streams_max
        self._streams = 0
        self._tail = Tail(moments, freshness, clock)
        self._reads = asyncio.Semaphore(READS_MAX)

    def close(self) -> None:
        """Ends all streams, and those to come, with `ShuttingDown`."""
        self._tail.close()

    async def messages(self, query: WatchOrders) -> AsyncGenerator[bytes, None]:
        """The messages of a stream, serialized; endless.

        Between two of them it holds no moment of the store and no more than a batch of events,
        however long the next one is not asked for. A read store that goes away meanwhile is waited
        for.

        Raises:
            OutOfRange: the log has not had the position to start from.
            StoreMismatch: the position is of another store.
            TooManyCalls: as many watch as may.
            ProjectionLagging, StoreUnavailable: there is nothing to answer from.
            ShuttingDown: the server drains.
        """
        with self._counted():
            async with self._tail.kept():
                stream = _Stream(
                    query=query,
                    tail=self._tail,
                    past=Past(self._moments, self._reads),
                    start=await self._start(query),
                )
                yield await stream.mark()
                while True:
                    batch = await stream.next()
                    for answer in batch.answers:
                        yield watched_event(answer)
                    if await stream.passed(batch):
                        yield await stream.mark()

    async def _start(self, query: WatchOrders) -> Checkpoint:
        """Where the log is, or is about to be, when the stream starts."""
        checkpoint = await self._freshness.look(ORDER_EVENTS)
        Requirement(store_id=query.store_id).check_store(checkpoint.store_id)
        after = query.after_position
        if after is None or after <= checkpoint.position:
            return checkpoint
        # A position from a receipt may be ahead of the read model for a moment.
        await self._freshness.beyond(
            after - 1, projection=ORDER_EVENTS, seconds=MAX_WAIT_SECONDS_DEFAULT
        )
        checkpoint = await self._freshness.look(ORDER_EVENTS)
        newest = max(checkpoint.position, checkpoint.head_position)
        if after <= newest:
            return checkpoint
        if not is_current(checkpoint, now=self._clock()):
            # Where the log ends, nobody knows while the projector stands still.
            raise PositionNotReached(
                min_position=after,
                position=checkpoint.position,
                retry_delay_seconds=LAGGING_RETRY_SECONDS,
            )
        raise OutOfRange(
            f"the log ends at position {newest}, it has not come to {after}",
            facts={"after_position": str(after), "newest_position": str(newest)},
        )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._streams >= self._streams_max:
            raise TooManyCalls(
                f"there are {self._streams} calls of WatchOrders under way, as many as may be: "
                "watch more orders with one, or try again later",
                limit=self._streams_max,
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1


class _Stream:
    """How far one stream is."""

    def __init__(
        self, *, query: WatchOrders, tail: Tail, past: Past, start: Checkpoint
    ) -> None:
        self._wanted = Wanted(query.filter)
        self._tail = tail
        self._past = past
        self._store_id = start.store_id
        self._mark_seconds = query.mark_seconds
        self._marked_at = 0.0
        self._was_caught_up = False
        after = query.after_position
        self._position = start.position if after is None else after

    async def mark(self) -> bytes:
        """The message that tells how far it is."""
        self._marked_at = time.monotonic()
        is_caught_up = await self._tail.is_end_of_log(self._position)
        self._was_caught_up = self._was_caught_up or is_caught_up
        return watch_mark(
            self._position, caught_up=is_caught_up, store_id=self._store_id
        )

    async def next(self) -> Batch:
        """What comes next; after the time for a mark, perhaps nothing.

        Raises:
            ShuttingDown: the server drains.
            ProjectionLagging: there is nothing to answer from any more.
        """
        self._tail.check_open()
        if self._position < self._tail.start:
            return await self._next_of_past()
        if self._position >= self._tail.end:
            seconds = self._marked_at + self._mark_seconds - time.monotonic()
            await self._tail.news(self._position, seconds=max(seconds, 0.0))
        # What is kept may have moved on meanwhile.
        if self._tail.start <= self._position < self._tail.end:
            return self._tail.batch(self._wanted, after_position=self._position)
        return Batch((), self._position)

    async def passed(self, batch: Batch) -> bool:
        """Notes that a batch was sent; whether a mark is due."""
        self._position = batch.end
        if time.monotonic() - self._marked_at >= self._mark_seconds:
            return True
        # The end of the past is told at once.
        return not self._was_caught_up and await self._tail.is_end_of_log(
            self._position
        )

    async def _next_of_past(self) -> Batch:
        try:
            return await self._past.page(self._wanted, after_position=self._position)
        except StoreUnavailable:
            await self._tail.store_away()
            return Batch((), self._position)
