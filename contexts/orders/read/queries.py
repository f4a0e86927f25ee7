"""What the read models of orders answer. Rows and checkpoint are always of one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Select, func, select, tuple_

from contexts.orders.read.order_events import ORDER_EVENTS_PROJECTION
from contexts.orders.read.orders import ORDERS_PROJECTION
from contexts.orders.read.tables import (
    order_events,
    order_key,
    order_products,
    orders,
)
from contexts.orders.wire.queries import (
    EventSortKey,
    GetOrder,
    ListOrderEvents,
    ListOrders,
    OrdersFilter,
    OrderSortKey,
)
from eventcore.checkpoints import Checkpoint
from eventcore.errors import EventCoreError
from eventcore.freshness import Freshness, Requirement
from eventcore.gathering import Gathering
from eventcore.messages import Kind
from eventcore.page_tokens import PageStart
from eventcore.read_store import ReadSnapshot, ReadSnapshots

ORDERS_PER_QUERY_MAX = 256
"""Calls of GetOrder that share one query; the others share the next one."""

PAGE_BYTES_MAX = 3 * 1024 * 1024
"""A page ends early, rather than outgrow the 4 MiB that a client takes unless told otherwise."""

K = TypeVar("K")


class OrderNotFound(EventCoreError):
    """The read model holds no such order."""

    kind = Kind.NOT_FOUND
    reason = "ORDER_NOT_FOUND"

    def __init__(self, order_id: str) -> None:
        super().__init__(
            f"there is no order {order_id}, or not yet: give min_position to be sure"
        )
        self.order_id = order_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An order, serialized, and the checkpoint of the same moment."""

    order: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[K]):
    """Rows of a list, serialized, and the checkpoint of the same moment."""

    rows: Sequence[bytes]
    checkpoint: Checkpoint
    next_start: PageStart[K] | None
    """None on the last page."""


class OrderQueries:
    """Answers queries from the read models, as fresh as they demand."""

    def __init__(self, *, snapshots: ReadSnapshots, freshness: Freshness) -> None:
        self._snapshots = snapshots
        self._freshness = freshness
        self._orders = Gathering(self._read_orders, keys_max=ORDERS_PER_QUERY_MAX)

    async def get_order(
        self, query: GetOrder, *, time_remaining_seconds: float | None
    ) -> Answer:
        """An order as it is.

        Raises:
            OrderNotFound: there is none.
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        await self._reach(query.requirement, ORDERS_PROJECTION, time_remaining_seconds)
        found = await self._orders.find(order_key(query.order_id))
        assert found is not None, "every key has an answer"
        checkpoint, order = found
        query.requirement.check(checkpoint)
        if order is None:
            raise OrderNotFound(query.order_id)
        return Answer(order=order, checkpoint=checkpoint)

    async def list_orders(
        self, query: ListOrders, *, time_remaining_seconds: float | None
    ) -> Page[OrderSortKey]:
        """A page of orders.

        A list by update_time shows an order where it stands when its page is read: one that
        changes between two pages moves towards the newest end.

        Raises:
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = _of_page(query.filter.requirement, query.start)
        await self._reach(requirement, ORDERS_PROJECTION, time_remaining_seconds)
        async with self._snapshots.open() as snapshot:
            checkpoint = await snapshot.checkpoint(ORDERS_PROJECTION)
            requirement.check(checkpoint)
            # The sizes come first: a page of the largest orders must not be read to be cut.
            found = await snapshot.fetch(_sort_keys(query))
            fitting = _fitting([row.size for row in found], query.page_size)
            keys = [OrderSortKey(row.time, row.order_id) for row in found[:fitting]]
            ids = [key.order_id for key in keys]
            answers = await _read_answers(snapshot, ids)
        return Page(
            rows=[answers[order_id] for order_id in ids],
            checkpoint=checkpoint,
            next_start=_next_start(
                keys, query.start, checkpoint, is_last=fitting == len(found)
            ),
        )

    async def list_order_events(
        self, query: ListOrderEvents, *, time_remaining_seconds: float | None
    ) -> Page[EventSortKey]:
        """A page of an order's events, oldest first.

        Raises:
            OrderNotFound: there is no such order.
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = _of_page(query.filter.requirement, query.start)
        await self._reach(requirement, ORDER_EVENTS_PROJECTION, time_remaining_seconds)
        async with self._snapshots.open() as snapshot:
            checkpoint = await snapshot.checkpoint(ORDER_EVENTS_PROJECTION)
            requirement.check(checkpoint)
            found = await snapshot.fetch(_events_page(query))
        if not found and query.start is None:
            raise OrderNotFound(query.filter.order_id)
        fitting = _fitting([len(row.answer) for row in found], query.page_size)
        return Page(
            rows=[row.answer for row in found[:fitting]],
            checkpoint=checkpoint,
            next_start=_next_start(
                [EventSortKey(row.version) for row in found[:fitting]],
                query.start,
                checkpoint,
                is_last=fitting == len(found),
            ),
        )

    async def _reach(
        self,
        requirement: Requirement,
        projection: str,
        time_remaining_seconds: float | None,
    ) -> None:
        await self._freshness.reach(
            requirement,
            projection=projection,
            time_remaining_seconds=time_remaining_seconds,
        )

    async def _read_orders(
        self, keys: Sequence[bytes]
    ) -> Mapping[bytes, tuple[Checkpoint, bytes | None]]:
        async with self._snapshots.open() as snapshot:
            checkpoint = await snapshot.checkpoint(ORDERS_PROJECTION)
            answers = await _read_answers(snapshot, keys)
        return {key: (checkpoint, answers.get(key)) for key in keys}


async def _read_answers(
    snapshot: ReadSnapshot, keys: Sequence[bytes]
) -> dict[bytes, bytes]:
    rows = await snapshot.fetch(
        select(orders.c.order_id, orders.c.answer).where(orders.c.order_id.in_(keys))
    )
    return {row.order_id: row.answer for row in rows}


def _of_page(requirement: Requirement, start: PageStart[K] | None) -> Requirement:
    """A later page must not be older than the first one."""
    if start is None:
        return requirement
    return replace(
        requirement, min_position=max(requirement.min_position, start.first_position)
    )


def _next_start(
    keys: Sequence[K],
    start: PageStart[K] | None,
    checkpoint: Checkpoint,
    *,
    is_last: bool,
) -> PageStart[K] | None:
    if is_last:
        return None
    first_position = checkpoint.position if start is None else start.first_position
    return PageStart(after=keys[-1], first_position=first_position)


def _fitting(sizes: Sequence[int], page_size: int) -> int:
    """How many of the rows fit into a page, and at least one, if there is one."""
    total = 0
    for count, size in enumerate(sizes[:page_size]):
        total += size
        if count and total > PAGE_BYTES_MAX:
            return count
    return min(len(sizes), page_size)


def _sort_keys(query: ListOrders) -> Select[Any]:
    """The sort keys and sizes of a page, and of one row beyond it."""
    keys = _sort_columns(query.filter)
    descending = query.filter.order_by.descending
    conditions = _conditions(query.filter)
    if query.start is not None:
        place, after = tuple_(*keys), tuple_(*query.start.after)
        conditions.append(place < after if descending else place > after)
    time, order_id = keys
    return (
        select(
            time.label("time"),
            order_id.label("order_id"),
            func.length(orders.c.answer).label("size"),
        )
        .where(*conditions)
        .order_by(*(key.desc() if descending else key for key in keys))
        .limit(query.page_size + 1)
    )


def _sort_columns(orders_filter: OrdersFilter) -> tuple[Column[int], Column[bytes]]:
    if orders_filter.product_id and orders_filter.order_by.column == "place_time":
        # In this table the orders of a product lie in the order that is asked for.
        return order_products.c.place_time, order_products.c.order_id
    return orders.c[orders_filter.order_by.column], orders.c.order_id


def _conditions(orders_filter: OrdersFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    place_time = orders.c.place_time
    if orders_filter.customer_id:
        conditions.append(orders.c.customer_id == orders_filter.customer_id)
    if orders_filter.states:
        states = [state.value for state in orders_filter.states]
        conditions.append(orders.c.state.in_(states))
    if orders_filter.product_id:
        place_time = order_products.c.place_time
        conditions.append(order_products.c.product_id == orders_filter.product_id)
        conditions.append(order_products.c.order_id == orders.c.order_id)
    if orders_filter.placed_since is not None:
        conditions.append(place_time >= orders_filter.placed_since)
    if orders_filter.placed_before is not None:
        conditions.append(place_time < orders_filter.placed_before)
    return conditions


def _events_page(query: ListOrderEvents) -> Select[Any]:
    """A page of events, and one beyond it."""
    page = (
        select(order_events.c.version, order_events.c.answer)
        .where(order_events.c.order_id == order_key(query.filter.order_id))
        .order_by(order_events.c.version)
        .limit(query.page_size + 1)
    )
    if query.start is None:
        return page
    return page.where(order_events.c.version > query.start.after.version)
