"""The past, for who watches: read page by page, with no moment of the store open in between."""

import asyncio
from typing import Any

from sqlalchemy import Select, Table, select

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.watching.watched import (
    BATCH_BYTES_MAX,
    Batch,
    Wanted,
    Watched,
)

READS_MAX = 1
"""Pages that are read at a time, for all who watch: the other connections are for queries."""

ROWS_PER_PAGE_FIRST = 64
ROWS_PER_PAGE_MIN = 8
ROWS_PER_PAGE_MAX = 500
"""Rows of a page. The first one is small, because an event may be large; then as many as fill a
batch."""

POSITIONS_PER_PAGE_MAX = 5_000
"""Positions that a page goes through where it looks for events of a type, which has no index: so
each page costs a millisecond or two."""


class Past:
    """Reads what has happened, for one who watches."""

    def __init__(self, moments: Moments, reads: asyncio.Semaphore) -> None:
        """Begins.

        Args:
            moments: Of the read model.
            reads: Shared by all who watch, of `READS_MAX`.
        """
        self._moments = moments
        self._reads = reads
        self._rows = ROWS_PER_PAGE_FIRST

    async def page(self, wanted: Wanted, *, after_position: int) -> Batch:
        """The next events that are wanted; none, and the end of what there is, if there are none.

        Raises:
            ProjectionLagging: there is nothing to answer from any more.
            StoreUnavailable: the read store does not answer.
        """
        limit = self._rows
        async with self._reads, self._moments.open(ORDER_EVENTS) as moment:
            last = moment.known.checkpoint.position
            if not wanted.orders and not wanted.customer_id:
                last = min(last, after_position + POSITIONS_PER_PAGE_MAX)
            table = moment.table(order_events)
            rows = await moment.fetch(
                page_of(table, wanted, after_position, last, limit)
            )
        answers = [row.answer for row in rows]
        if not answers:
            return Batch((), max(last, after_position))
        average = sum(map(len, answers)) // len(answers) + 1
        self._rows = max(
            ROWS_PER_PAGE_MIN, min(BATCH_BYTES_MAX // average, ROWS_PER_PAGE_MAX)
        )
        return Batch(answers, rows[-1].position if len(rows) == limit else last)


def page_of(
    order_events: Table, wanted: Wanted, after_position: int, last: int, limit: int
) -> Select[Any]:
    """The events that are wanted, from a position on."""
    page = (
        select(order_events.c.position, order_events.c.answer)
        .where(
            order_events.c.position > after_position, order_events.c.position <= last
        )
        .order_by(order_events.c.position)
        .limit(limit)
    )
    if wanted.orders:
        page = page.where(order_events.c.order_id.in_(sorted(wanted.orders)))
    if wanted.customer_id:
        page = page.where(order_events.c.customer_id == wanted.customer_id)
    if wanted.types:
        page = page.where(order_events.c.type.in_(sorted(wanted.types)))
    return page


def newest_events(
    order_events: Table, after_position: int, last: int, limit: int
) -> Select[Any]:
    """All events between two positions, whoever wants them."""
    return (
        select(
            order_events.c.position,
            order_events.c.order_id,
            order_events.c.customer_id,
            order_events.c.type,
            order_events.c.answer,
        )
        .where(
            order_events.c.position > after_position, order_events.c.position <= last
        )
        .order_by(order_events.c.position)
        .limit(limit)
    )


def as_watched(row: Any) -> Watched:
    """The event in a row of `newest_events`."""
    return Watched(row.position, row.order_id, row.customer_id, row.type, row.answer)
