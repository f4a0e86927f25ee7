"""A Consistency at work over a read store that is moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, Select, Table

from contexts.orders.read.orders import ORDERS
from eventcore.checkpoints import Checkpoint
from eventcore.errors import StoreUnavailable
from eventcore.freshness import Requirement
from eventcore.messages import Instant
from eventcore.projection import Projection
from eventcore.wake import WakeReceiver
from read_server.consistency import Consistency
from tests.support.eventually import eventually

LONG = 20.0


class Served:
    """A read model at a position."""

    generation = 1

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def table(self, table: Table) -> Table:
        raise AssertionError(f"nobody here asks for rows: {table}")


class Store:
    """A read store whose position a test moves, also in the middle of a look."""

    def __init__(self) -> None:
        self.position = 0
        self.complete_time: Instant = 0
        self.looks = 0
        self.is_away = False
        self.refusals = 0
        """Looks that came while it was away."""
        self.instead: dict[str, Exception] = {}
        """What there is in place of a read model, by its name."""
        self.during_look: Callable[[], None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Store"]:
        if self.is_away:
            self.refusals += 1
            raise StoreUnavailable
        yield self

    async def served(self, projection: Projection) -> Served:
        self.looks += 1
        found = Served(
            Checkpoint(
                store_id="store",
                position=self.position,
                complete_time=self.complete_time,
            )
        )
        if self.during_look is not None:
            self.during_look()
            self.during_look = None
        # Long enough for whoever was woken to act on it before the look is over.
        for _ in range(20):
            await asyncio.sleep(0)
        if projection.name in self.instead:
            raise self.instead[projection.name]
        return found

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        raise AssertionError(f"nobody here asks for rows: {query}")


class Waiting:
    """A Consistency at work over such a store."""

    def __init__(self, store: Store, wakes: WakeReceiver) -> None:
        self.store = store
        self.wakes = wakes
        self.now: Instant = 0
        self.consistency = Consistency(
            snapshots=store,
            wakes=wakes,
            clock=lambda: self.now,
            poll_seconds=LONG * 2,
        )

    def commit(self, position: int) -> None:
        self.store.position = position
        self.wakes.wake()

    async def holds(self, count: int) -> None:
        """Returns once so many wait, and their looks are over."""
        consistency = self.consistency
        await eventually(
            lambda: (
                sum(map(len, consistency._waiting.values())) == count
                and consistency._looks._running is None
            )
        )

    async def reach(
        self,
        position: int,
        *,
        seconds: float = LONG,
        remaining: float | None = None,
        projection: Projection = ORDERS,
    ) -> None:
        await self.demand(
            Requirement(min_position=position, max_wait_seconds=seconds),
            remaining=remaining,
            projection=projection,
        )

    async def demand(
        self,
        requirement: Requirement,
        *,
        remaining: float | None = None,
        projection: Projection = ORDERS,
    ) -> None:
        await self.consistency.reach(
            requirement, projection=projection, time_remaining_seconds=remaining
        )
