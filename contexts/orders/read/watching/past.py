"""The past, for who watches: read page by page, with no moment of the store open in between."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Table, select

from contexts.orders.read.moments import Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.watching.watched import (
    BATCH_BYTES_MAX,
    Batch,
    Wanted,
    Watched,
    batch_of,
)

READS_MAX = 1
"""Pages that are read at a time, for all who watch: the other connections are for queries."""

ROWS_PER_PAGE_FIRST = 64
ROWS_PER_PAGE_MIN = 8
ROWS_PER_PAGE_MAX = 500
"""Rows of a page. The first one is small, because an event may be large; then as many as fill a
batch."""

POSITIONS_PER_PAGE_MIN = 5_000
POSITIONS_PER_PAGE_MAX = 2**62
POSITIONS_FACTOR = 4
"""Positions that a page goes through. Where what is wanted lies close together, or is found only by
passing over much else, a few are enough; where it is rare and has an index, all of them are."""

PAGE_SECONDS = 0.02
"""How long the query of a page should take, as who watches waits for the pages of all others. One
that takes much longer goes through fewer positions the next time, a short one through more."""


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
        self._positions = POSITIONS_PER_PAGE_MIN

    async def page(self, wanted: Wanted, *, after_position: int) -> Batch:
        """The next events that are wanted; perhaps none, and how far that holds.

        Raises:
            ProjectionLagging: there is nothing to answer from any more.
            StoreUnavailable: the read store does not answer.
        """
        limit = self._rows
        async with self._reads, self._moments.open(ORDER_EVENTS) as moment:
            newest = moment.known.checkpoint.position
            last = min(newest, after_position + self._positions)
            table = moment.table(order_events)
            began = time.monotonic()
            rows = await moment.fetch(
                page_of(table, wanted, after_position, last, limit)
            )
            seconds = time.monotonic() - began
        is_full = len(rows) == limit
        self._adapt(rows, seconds, is_full=is_full)
        return batch_of(
            ((row.position, row.answer) for row in rows),
            end=rows[-1].position if is_full else max(last, after_position),
        )

    def _adapt(self, rows: Sequence[Any], seconds: float, *, is_full: bool) -> None:
        """Fits the next page to what this one has shown."""
        if rows:
            average = sum(len(row.answer) for row in rows) // len(rows) + 1
            fitting = min(BATCH_BYTES_MAX // average + 1, ROWS_PER_PAGE_MAX)
            self._rows = max(fitting, ROWS_PER_PAGE_MIN)
        if seconds > POSITIONS_FACTOR * PAGE_SECONDS:
            fewer = self._positions // POSITIONS_FACTOR
            self._positions = max(fewer, POSITIONS_PER_PAGE_MIN)
        elif seconds < PAGE_SECONDS and not is_full:
            more = self._positions * POSITIONS_FACTOR
            self._positions = min(more, POSITIONS_PER_PAGE_MAX)


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
