"""The read model `order_events`: the audit trail, each event of an order as it is sent.

It answers what happened to an order, what the order was at any time, and what happens now. The
events of an order lie in the order of their positions, which is that of their versions.
"""

from collections.abc import Sequence

from sqlalchemy import Column, Index, LargeBinary, MetaData, Table, Text

from contexts.orders.events import OrderPlaced
from contexts.orders.read.columns import BIGINT, decoded, order_key
from contexts.orders.wire.events import event_to_answer
from eventcore.messages import EventEnvelope
from eventcore.model_tables import ReadModelTables
from eventcore.projection import Projection

_metadata = MetaData()

order_events = Table(
    "order_events",
    _metadata,
    Column("position", BIGINT, primary_key=True, autoincrement=False),
    Column("order_id", LargeBinary(16), nullable=False),
    Column("version", BIGINT, nullable=False),
    # Whose order it is: who watches a customer's orders would else have to know all of them.
    Column("customer_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("record_time", BIGINT, nullable=False),
    # The event as it is sent.
    Column("answer", LargeBinary, nullable=False),
    Index("order_events_by_order", "order_id", "position", unique=True),
    Index("order_events_by_customer", "customer_id", "position"),
)

order_customers = Table(
    "order_events_customers",
    _metadata,
    # Only the first event of an order says whose it is.
    Column("order_id", LargeBinary(16), primary_key=True),
    Column("customer_id", Text, nullable=False),
)

UNKNOWN_CUSTOMER = ""
"""Of an order whose first event an operator has had left out."""


def apply(events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
    """Adds a row for each event."""
    changes = list(decoded(events))
    placed = {
        order_key(envelope.stream.key): event.customer_id
        for envelope, event in changes
        if isinstance(event, OrderPlaced)
    }
    customers = placed | _customers_of(
        {order_key(envelope.stream.key) for envelope, _ in changes} - placed.keys(),
        tables,
    )
    tables.write(
        order_customers,
        [
            {"order_id": order, "customer_id": customer}
            for order, customer in placed.items()
        ],
    )
    rows = []
    for envelope, event in changes:
        order = order_key(envelope.stream.key)
        rows.append(
            {
                "position": envelope.position,
                "order_id": order,
                "version": envelope.stream_version,
                "customer_id": customers.get(order, UNKNOWN_CUSTOMER),
                "type": envelope.type,
                "record_time": envelope.record_time,
                "answer": event_to_answer(envelope, event),
            }
        )
    tables.write(order_events, rows)


ORDER_EVENTS = Projection(
    name="order_events",
    version=3,
    tables=(order_events, order_customers),
    apply=apply,
)
"""Version 2 has the code of a cancellation in the answers, version 3 the customer beside each
event."""


def _customers_of(orders: set[bytes], tables: ReadModelTables) -> dict[bytes, str]:
    found = tables.fetch(order_customers, [(order,) for order in orders])
    return {row["order_id"]: row["customer_id"] for row in found.values()}
