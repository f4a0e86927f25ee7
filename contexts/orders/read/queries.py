"""What the read models of orders answer of orders and their events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, func, select, tuple_

from contexts.orders.read.columns import order_key
from contexts.orders.read.moments import Known, Moment, Moments
from contexts.orders.read.order_events import ORDER_EVENTS, order_events
from contexts.orders.read.orders import ORDERS, order_products, orders
from contexts.orders.read.pages import Page, fitting, next_start, of_page
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
from eventcore.gathering import Gathering
from eventcore.messages import Kind

ORDERS_PER_QUERY_MAX = 256
"""Calls of GetOrder that share one query; the others share the next one."""


class OrderNotFound(EventCoreError):
    """The read model holds no such order."""

    kind = Kind.NOT_FOUND
    reason = "ORDER_NOT_FOUND"

    def __init__(self, order_id: str, when: str = "") -> None:
        super().__init__(
            f"there is no order {order_id}{when}, or not yet: give min_position to be sure"
        )
        self.order_id = order_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An order, serialized, and how fresh it is."""

    order: bytes
    known: Known


class OrderQueries:
    """Answers queries from the read models, as fresh as they demand."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._orders = Gathering(self._read_orders, keys_max=ORDERS_PER_QUERY_MAX)

    async def get_order(
        self, query: GetOrder, *, time_remaining_seconds: float | None
    ) -> Answer:
        """An order as it is.

        Raises:
            OrderNotFound: there is none.
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = query.requirement
        await self._moments.reach(requirement, ORDERS, time_remaining_seconds)
        found = await self._orders.find(order_key(query.order_id))
        assert found is not None, "every key has an answer"
        checkpoint, order = found
        known = self._moments.check(requirement, checkpoint)
        if order is None:
            raise OrderNotFound(query.order_id)
        return Answer(order=order, known=known)

    async def list_orders(
        self, query: ListOrders, *, time_remaining_seconds: float | None
    ) -> Page[bytes, OrderSortKey]:
        """A page of orders.

        A list by update_time shows an order where it stands when its page is read: one that
        changes between two pages moves towards the newest end.

        Raises:
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = of_page(query.filter.requirement, query.start)
        await self._moments.reach(requirement, ORDERS, time_remaining_seconds)
        async with self._moments.open(ORDERS, requirement) as moment:
            # The sizes come first: a page of the largest orders must not be read to be cut.
            found = await moment.fetch(
                sort_keys(query, moment.table(orders), moment.table(order_products))
            )
            count = fitting([row.size for row in found], query.page_size)
            keys = [OrderSortKey(row.time, row.order_id) for row in found[:count]]
            ids = [key.order_id for key in keys]
            answers = await _read_answers(moment, ids)
        return Page(
            rows=[answers[order_id] for order_id in ids],
            known=moment.known,
            next_start=next_start(
                keys, query.start, moment.known, is_last=count == len(found)
            ),
        )

    async def list_order_events(
        self, query: ListOrderEvents, *, time_remaining_seconds: float | None
    ) -> Page[bytes, EventSortKey]:
        """A page of an order's events, oldest first.

        Raises:
            OrderNotFound: there is no such order.
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = of_page(query.filter.requirement, query.start)
        await self._moments.reach(requirement, ORDER_EVENTS, time_remaining_seconds)
        async with self._moments.open(ORDER_EVENTS, requirement) as moment:
            found = await moment.fetch(events_page(query, moment.table(order_events)))
        if not found and query.start is None:
            raise OrderNotFound(query.filter.order_id)
        count = fitting([len(row.answer) for row in found], query.page_size)
        return Page(
            rows=[row.answer for row in found[:count]],
            known=moment.known,
            next_start=next_start(
                [EventSortKey(row.position) for row in found[:count]],
                query.start,
                moment.known,
                is_last=count == len(found),
            ),
        )

    async def _read_orders(
        self, keys: Sequence[bytes]
    ) -> Mapping[bytes, tuple[Checkpoint, bytes | None]]:
        async with self._moments.open(ORDERS) as moment:
            answers = await _read_answers(moment, keys)
        checkpoint = moment.known.checkpoint
        return {key: (checkpoint, answers.get(key)) for key in keys}


async def _read_answers(moment: Moment, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    rows = await moment.fetch(answers_of(moment.table(orders), keys))
    return {row.order_id: row.answer for row in rows}


def answers_of(orders: Table, keys: Sequence[bytes]) -> Select[Any]:
    """Orders by their keys, each as it is sent."""
    return select(orders.c.order_id, orders.c.answer).where(orders.c.order_id.in_(keys))


def sort_keys(query: ListOrders, orders: Table, order_products: Table) -> Select[Any]:
    """The sort keys and sizes of a page, and of one row beyond it."""
    keys = _sort_columns(query.filter, orders, order_products)
    descending = query.filter.order_by.descending
    conditions = _conditions(_not_implied(query), orders, order_products)
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


def _not_implied(query: ListOrders) -> OrdersFilter:
    """The filter without the bound that a later page lies within anyway.

    The database would choose it for where to begin, and pass over all pages before.
    """
    orders_filter, start = query.filter, query.start
    if start is None or orders_filter.order_by.column != "place_time":
        return orders_filter
    since, before = orders_filter.placed_since, orders_filter.placed_before
    if orders_filter.order_by.descending:
        if before is not None and start.after.time < before:
            return replace(orders_filter, placed_before=None)
    elif since is not None and start.after.time >= since:
        return replace(orders_filter, placed_since=None)
    return orders_filter


def _sort_columns(
    orders_filter: OrdersFilter, orders: Table, order_products: Table
) -> tuple[Column[int], Column[bytes]]:
    if orders_filter.product_id and orders_filter.order_by.column == "place_time":
        # In this table the orders of a product lie in the order that is asked for.
        return order_products.c.place_time, order_products.c.order_id
    return orders.c[orders_filter.order_by.column], orders.c.order_id


def _conditions(
    orders_filter: OrdersFilter, orders: Table, order_products: Table
) -> list[ColumnElement[bool]]:
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


def events_page(query: ListOrderEvents, order_events: Table) -> Select[Any]:
    """A page of events, and one beyond it."""
    page = (
        select(order_events.c.position, order_events.c.answer)
        .where(order_events.c.order_id == order_key(query.filter.order_id))
        .order_by(order_events.c.position)
        .limit(query.page_size + 1)
    )
    if query.start is None:
        return page
    return page.where(order_events.c.position > query.start.after.position)
