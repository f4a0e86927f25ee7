"""The read model `orders`: each order as it is, ready to send, and what lists are filtered by.

A list is read by keyset: its sort column and then the order's id, both from one index. There is an
index for each sort order, alone, behind a customer and behind a state; and one by place_time behind
a product. So a page costs the same wherever it is

- of all orders, of one customer's and of those in one state, by either time;
- of those with one product, by place_time;
- of each of these within bounds of place_time, by place_time.

Everything else costs more, in proportion to the orders that it passes over or sorts:

- Filters together are read from the index of one of them, in order, and skip the orders that the
  others leave out: of a customer's orders, say, those in another state or without the product.
- A product's orders by update_time, those of several states, and those within bounds of place_time
  by update_time are collected and sorted for each page.
"""

from collections.abc import Sequence

from sqlalchemy import Column, Index, LargeBinary, MetaData, Table, Text

from contexts.orders.events import OrderEvent
from contexts.orders.read.columns import BIGINT, decoded, order_key
from contexts.orders.view import OrderView, evolve_view
from contexts.orders.wire.answers import order_from_answer, order_to_answer
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope
from eventcore.model_tables import Key, ReadModelTables, Row
from eventcore.projection import Projection

_metadata = MetaData()

orders = Table(
    "orders",
    _metadata,
    Column("order_id", LargeBinary(16), primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("place_time", BIGINT, nullable=False),
    Column("update_time", BIGINT, nullable=False),
    Column("version", BIGINT, nullable=False),
    Column("position", BIGINT, nullable=False),
    # The order as it is sent, so that an answer costs no more than reading it.
    Column("answer", LargeBinary, nullable=False),
    Index("orders_by_place_time", "place_time", "order_id"),
    Index("orders_by_update_time", "update_time", "order_id"),
    Index("orders_by_customer_place_time", "customer_id", "place_time", "order_id"),
    Index("orders_by_customer_update_time", "customer_id", "update_time", "order_id"),
    Index("orders_by_state_place_time", "state", "place_time", "order_id"),
    Index("orders_by_state_update_time", "state", "update_time", "order_id"),
)

order_products = Table(
    "order_products",
    _metadata,
    # The time at which an order was placed never changes, so it can stand in the key: a product's
    # orders lie in that order.
    Column("product_id", Text, primary_key=True),
    Column("place_time", BIGINT, primary_key=True),
    Column("order_id", LargeBinary(16), primary_key=True),
)


def apply(events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
    """Reads the orders of the batch, folds it in memory, and writes what came of it."""
    changes = list(decoded(events))
    before = _load([envelope.stream.key for envelope, _ in changes], tables)
    after = dict(before)
    for envelope, event in changes:
        order_id = envelope.stream.key
        after[order_id] = _evolve(after.get(order_id), envelope, event)
    tables.write(orders, [_as_row(view) for view in after.values()])
    _write_products(before, after, tables)


ORDERS = Projection(
    name="orders", version=2, tables=(orders, order_products), apply=apply
)
"""In version 2 the answers have the code of a cancellation."""


def _load(order_ids: Sequence[str], tables: ReadModelTables) -> dict[str, OrderView]:
    keys = {(order_key(order_id),) for order_id in order_ids}
    rows = tables.fetch(orders, keys).values()
    views = [order_from_answer(row["answer"]) for row in rows]
    return {view.order_id: view for view in views}


def _evolve(
    view: OrderView | None, envelope: EventEnvelope, event: OrderEvent
) -> OrderView:
    version = 0 if view is None else view.version
    if envelope.stream_version <= version:
        raise CorruptLog(
            f"order {envelope.stream.key} is at version {version}, the event at position "
            f"{envelope.position} is its version {envelope.stream_version}"
        )
    return evolve_view(
        view,
        envelope.stream.key,
        event,
        position=envelope.position,
        record_time=envelope.record_time,
        version=envelope.stream_version,
    )


def _as_row(view: OrderView) -> Row:
    return {
        "order_id": order_key(view.order_id),
        "customer_id": view.customer_id,
        "state": view.state.value,
        "place_time": view.place_time,
        "update_time": view.update_time,
        "version": view.version,
        "position": view.position,
        "answer": order_to_answer(view),
    }


def _write_products(
    before: dict[str, OrderView], after: dict[str, OrderView], tables: ReadModelTables
) -> None:
    removed: list[Key] = []
    added: list[Row] = []
    for order_id, view in after.items():
        old = _product_ids(before.get(order_id))
        new = _product_ids(view)
        key = order_key(order_id)
        removed.extend((product_id, view.place_time, key) for product_id in old - new)
        added.extend(
            {"product_id": product_id, "place_time": view.place_time, "order_id": key}
            for product_id in new - old
        )
    tables.delete(order_products, removed)
    tables.write(order_products, added)


def _product_ids(view: OrderView | None) -> set[str]:
    return set() if view is None else {line.product_id for line in view.lines}
