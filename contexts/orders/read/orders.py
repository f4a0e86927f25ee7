"""The read model `orders`: each order as it is, ready to send, and what lists are filtered by."""

from collections.abc import Sequence

from sqlalchemy import Table

from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.read.tables import order_key, order_products, orders
from contexts.orders.schemas import order_codec
from contexts.orders.view import OrderView, evolve_view
from contexts.orders.wire.answers import order_from_answer, order_to_answer
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope
from eventcore.read_store import Key, ReadModelTables, Row

ORDERS_PROJECTION = "orders"


class OrdersProjection:
    """Folds the events of each order into its row."""

    @property
    def name(self) -> str:
        """Names its checkpoint."""
        return ORDERS_PROJECTION

    @property
    def tables(self) -> Sequence[Table]:
        """One row for each order, and one for each product of it."""
        return (orders, order_products)

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        """Reads the orders of the batch, folds it in memory, and writes what came of it."""
        of_orders = [
            envelope
            for envelope in events
            if envelope.stream.category == ORDER_CATEGORY
        ]
        before = _load(of_orders, tables)
        after = dict(before)
        for envelope in of_orders:
            order_id = envelope.stream.key
            after[order_id] = _evolve(after.get(order_id), envelope)
        tables.write(orders, [_as_row(view) for view in after.values()])
        _write_products(before, after, tables)


def _load(
    events: Sequence[EventEnvelope], tables: ReadModelTables
) -> dict[str, OrderView]:
    keys = {(order_key(envelope.stream.key),) for envelope in events}
    rows = tables.fetch(orders, keys).values()
    views = [order_from_answer(row["answer"]) for row in rows]
    return {view.order_id: view for view in views}


def _evolve(view: OrderView | None, envelope: EventEnvelope) -> OrderView:
    version = 0 if view is None else view.version
    if envelope.stream_version != version + 1:
        raise CorruptLog(
            f"order {envelope.stream.key} is at version {version}, the event at position "
            f"{envelope.position} is its version {envelope.stream_version}"
        )
    return evolve_view(
        view,
        envelope.stream.key,
        order_codec.decode(envelope),
        position=envelope.position,
        record_time=envelope.record_time,
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
