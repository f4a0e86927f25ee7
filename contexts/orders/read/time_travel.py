"""An order as it was: a fold of its audit trail."""

import asyncio
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
        view: OrderView | None = None
        known: Known | None = None
        while True:
            # What was demanded holds for the first moment; the others only go on from it.
            demanded = query.requirement if known is None else None
            async with self._moments.open(ORDER_EVENTS, demanded) as moment:
                known = known or moment.known
                last_position = known.checkpoint.position
                position = 0 if view is None else view.position
                table = moment.table(order_events)
                rows = await moment.fetch(
                    past_events(query, table, position, last_position)
                )
            view = _fold(query.order_id, view, [row.answer for row in rows])
            if len(rows) < EVENTS_PER_READ:
                return _answer(query, view), known
            await asyncio.sleep(0)


def past_events(
    query: GetOrder, order_events: Table, after_position: int, last_position: int
) -> Select[Any]:
    """The next events of an order that its past consists of."""
    events = (
        select(order_events.c.answer)
        .where(
            order_events.c.order_id == order_key(query.order_id),
            order_events.c.position > after_position,
            order_events.c.position <= last_position,
        )
        .order_by(order_events.c.position)
        .limit(EVENTS_PER_READ)
    )
    if query.as_of_version is not None:
        return events.where(order_events.c.version <= query.as_of_version)
    return events.where(order_events.c.record_time <= query.as_of_time)


def _fold(
    order_id: str, view: OrderView | None, answers: list[bytes]
) -> OrderView | None:
    for answer in answers:
        past = event_from_answer(answer)
        view = evolve_view(
            view,
            order_id,
            past.event,
            position=past.position,
            record_time=past.record_time,
            version=past.version,
        )
    return view


def _answer(query: GetOrder, view: OrderView | None) -> bytes:
    if view is None:
        when = "" if query.as_of_time is None else " at that time"
        raise OrderNotFound(query.order_id, when)
    if query.as_of_version is not None and view.version < query.as_of_version:
        raise OutOfRange(
            f"order {query.order_id} has had {view.version} events, version "
            f"{query.as_of_version} is not among them, or not yet: give min_position to be sure",
            facts={
                "version": str(query.as_of_version),
                "newest_version": str(view.version),
            },
        )
    return order_to_answer(view)
