"""Streams of events for who watches: history, then live, with marks to resume from."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS
from contexts.orders.read.watching.past import READS_MAX, Past
from contexts.orders.read.watching.tail import Tail
from contexts.orders.read.watching.watched import Batch, Wanted
from contexts.orders.wire.watching import WatchOrders, watch_mark, watched_event
from eventcore.checkpoints import Checkpoint
from eventcore.errors import OutOfRange, TooManyCalls
from eventcore.freshness import (
    MAX_WAIT_SECONDS_DEFAULT,
    Freshness,
    Requirement,
)


class OrderWatch:
    """Serves all who watch orders."""

    def __init__(
        self, *, moments: Moments, freshness: Freshness, streams_max: int
    ) -> None:
        self._moments = moments
        self._freshness = freshness
        self._streams_max = streams_max
        self._streams = 0
        self._tail = Tail(moments, freshness)
        self._reads = asyncio.Semaphore(READS_MAX)

    def close(self) -> None:
        """Ends all streams, and those to come, with `ShuttingDown`."""
        self._tail.close()

    async def messages(self, query: WatchOrders) -> AsyncGenerator[bytes, None]:
        """The messages of a stream, serialized; endless.

        Between two of them it holds no moment of the store and no more than a batch of events,
        however long the next one is not asked for.

        Raises:
            OutOfRange: the log has not had the position to start from.
            StoreMismatch: the position is of another store.
            TooManyCalls: as many watch as may.
            ProjectionLagging, StoreUnavailable: there is nothing to answer from.
            ShuttingDown: the server drains.
        """
        with self._counted():
            async with self._tail.kept():
                checkpoint = await self._start(query)
                stream = _Stream(
                    query=query,
                    tail=self._tail,
                    past=Past(self._moments, self._reads),
                    start=checkpoint,
                )
                yield stream.mark()
                while True:
                    batch = await stream.next()
                    for answer in batch.answers:
                        yield watched_event(answer)
                    if stream.passed(batch):
                        yield stream.mark()

    async def _start(self, query: WatchOrders) -> Checkpoint:
        """Where the log is, or is about to be, when the stream starts."""
        checkpoint = await self._freshness.look(ORDER_EVENTS)
        Requirement(store_id=query.store_id).check_store(checkpoint.store_id)
        after = query.after_position
        if after is not None and after > checkpoint.position:
            # A position from a receipt may be ahead of the read model for a moment.
            checkpoint = await self._freshness.beyond(
                after - 1, projection=ORDER_EVENTS, seconds=MAX_WAIT_SECONDS_DEFAULT
            )
            newest = max(checkpoint.position, checkpoint.head_position)
            if after > newest:
                raise OutOfRange(
                    f"the log ends at position {newest}, it has not come to {after}",
                    facts={
                        "after_position": str(after),
                        "newest_position": str(newest),
                    },
                )
        return checkpoint

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

    @property
    def _is_caught_up(self) -> bool:
        return self._position >= self._tail.end

    def mark(self) -> bytes:
        """The message that tells how far it is."""
        self._marked_at = time.monotonic()
        self._was_caught_up = self._was_caught_up or self._is_caught_up
        return watch_mark(
            self._position, caught_up=self._is_caught_up, store_id=self._store_id
        )

    async def next(self) -> Batch:
        """What comes next; after the time for a mark, perhaps nothing."""
        if self._position < self._tail.start:
            return await self._past.page(self._wanted, after_position=self._position)
        if self._is_caught_up:
            seconds = self._marked_at + self._mark_seconds - time.monotonic()
            await self._tail.news(self._position, seconds=max(seconds, 0.0))
        if self._is_caught_up or self._position < self._tail.start:
            return Batch((), self._position)
        return self._tail.batch(self._wanted, after_position=self._position)

    def passed(self, batch: Batch) -> bool:
        """Notes that a batch was sent; whether a mark is due."""
        self._position = batch.end
        if self._is_caught_up and not self._was_caught_up:
            return True
        return time.monotonic() - self._marked_at >= self._mark_seconds
