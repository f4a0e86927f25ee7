"""The tables of the read models of orders.

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

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

READ_SCHEMA_VERSION = 2
"""Counts the changes of tables that exist, and of what stands in them: read models of an older
version are made anew from the log. A new table beside them is no change. In version 2 the answers
have the code of a cancellation."""

_BIGINT = BigInteger().with_variant(Integer(), "sqlite")
# SQLite makes a column the row's own key only if it says INTEGER.

metadata = MetaData()

orders = Table(
    "orders",
    metadata,
    Column("order_id", LargeBinary(16), primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("place_time", _BIGINT, nullable=False),
    Column("update_time", _BIGINT, nullable=False),
    Column("version", _BIGINT, nullable=False),
    Column("position", _BIGINT, nullable=False),
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
    metadata,
    # The time at which an order was placed never changes, so it can stand in the key: a product's
    # orders lie in that order.
    Column("product_id", Text, primary_key=True),
    Column("place_time", _BIGINT, primary_key=True),
    Column("order_id", LargeBinary(16), primary_key=True),
)

order_events = Table(
    "order_events",
    metadata,
    Column("position", _BIGINT, primary_key=True, autoincrement=False),
    Column("order_id", LargeBinary(16), nullable=False),
    Column("version", _BIGINT, nullable=False),
    Column("type", Text, nullable=False),
    Column("record_time", _BIGINT, nullable=False),
    # The event as it is sent.
    Column("answer", LargeBinary, nullable=False),
    Index("order_events_by_order", "order_id", "version", unique=True),
)


def order_key(order_id: str) -> bytes:
    """The id of an order as these tables keep it: less than half as wide as its text."""
    return bytes.fromhex(order_id.replace("-", ""))
