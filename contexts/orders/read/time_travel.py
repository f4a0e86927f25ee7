"""An order as it was: a fold of its audit trail."""

import asyncio
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, Table, select

from contexts.orders.read.columns import order_key
from contexts.orders.read.moments import Known, Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.queries import OrderNotFound
from contexts.orders.view import OrderView, evolve_view
from contexts.orders.wire.answers import order_to_answer
from contexts.orders.wire.events import event_from_answer
from contexts.orders.wire.queries import GetOrder
from eventcore.errors import OutOfRange
from eventcore.messages import Instant

EVENTS_PER_READ = 100
"""Events that are folded in one go. Between two of them others have their turn, and no moment of
the store is kept open: events do not change."""


class TimeTravel:
    """Tells what an order was."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    async def get_order(
        self, query: GetOrder, *, time_remaining_seconds: float | None
    ) -> tuple[bytes, Known]:
        """An order as it was after so many of its events, or at a time; serialized.

        Raises:
            OrderNotFound: there is none, or there was none yet.
            OutOfRange: it has not had so many events.
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        await self._moments.reach(
            query.requirement, ORDER_EVENTS, time_remaining_seconds
        )
        travel = _Travel(query)
        known: Known | None = None
        while True:
            # What was demanded holds for the first moment; the others only go on from it.
            demanded = query.requirement if known is None else None
            async with self._moments.open(ORDER_EVENTS, demanded) as moment:
                known = known or moment.known
                rows = await moment.fetch(
                    events_of(
                        moment.table(order_events),
                        query.order_id,
                        after_position=travel.position,
                        last_position=known.checkpoint.position,
                    )
                )
            travel.take(rows)
            if travel.is_over or len(rows) < EVENTS_PER_READ:
                return travel.answer(), known
            await asyncio.sleep(0)


def events_of(
    order_events: Table, order_id: str, *, after_position: int, last_position: int
) -> Select[Any]:
    """The next events of an order."""
    return (
        select(
            order_events.c.version, order_events.c.record_time, order_events.c.answer
        )
        .where(
            order_events.c.order_id == order_key(order_id),
            order_events.c.position > after_position,
            order_events.c.position <= last_position,
        )
        .order_by(order_events.c.position)
        .limit(EVENTS_PER_READ)
    )


class _Travel:
    """On the way from the first event of an order to where it was asked for."""

    def __init__(self, query: GetOrder) -> None:
        self._query = query
        self._view: OrderView | None = None
        self.is_over = False
        """Whether an event has come that lies beyond: it has had at least what was asked for."""

    @property
    def position(self) -> int:
        """Of the last event that was taken in; 0 before the first."""
        return 0 if self._view is None else self._view.position

    def take(self, rows: Iterable[Any]) -> None:
        """Folds the next events. Neither their versions nor their times ever fall."""
        for row in rows:
            if self._is_beyond(row.version, row.record_time):
                self.is_over = True
                return
            past = event_from_answer(row.answer)
            self._view = evolve_view(
                self._view,
                self._query.order_id,
                past.event,
                position=past.position,
                record_time=past.record_time,
                version=past.version,
            )

    def answer(self) -> bytes:
        """The order as it was.

        Raises:
            OrderNotFound, OutOfRange: see `TimeTravel`.
        """
        query, view = self._query, self._view
        if view is None:
            when = "" if query.as_of_time is None else " at that time"
            raise OrderNotFound(query.order_id, when)
        version = query.as_of_version
        # A version may be missing in between, where an operator has had an event left out.
        if version is not None and view.version < version and not self.is_over:
            raise OutOfRange(
                f"order {query.order_id} has had {view.version} events, version {version} is not "
                "among them, or not yet: give min_position to be sure",
                facts={
                    "version": str(version),
                    "newest_version": str(view.version),
                },
            )
        return order_to_answer(view)

    def _is_beyond(self, version: int, record_time: Instant) -> bool:
        if self._query.as_of_version is not None:
            return version > self._query.as_of_version
        assert self._query.as_of_time is not None, "it is asked for one of the two"
        return record_time > self._query.as_of_time
