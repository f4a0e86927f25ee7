"""What the tables of the read models of orders have in common.

Columns hold text, whole numbers and bytes, which reach every database as they are.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import BigInteger, Integer

from contexts.orders.events import ORDER_CATEGORY, OrderEvent
from contexts.orders.schemas import order_codec
from eventcore.messages import EventEnvelope

BIGINT = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite makes a column the row's own key only if it says INTEGER."""


def order_key(order_id: str) -> bytes:
    """The id of an order as these tables keep it: less than half as wide as its text."""
    return bytes.fromhex(order_id.replace("-", ""))


def decoded(
    events: Sequence[EventEnvelope],
) -> Iterator[tuple[EventEnvelope, OrderEvent]]:
    """The events of orders, each with its envelope. Every one is decoded, also by who has no use
    for
    it: a type that this code does not know may be one that matters.

    Raises:
        UnknownEvent: its type or its schema version is not of this code.
        MalformedEvent: its payload is not of its schema.
    """
    for envelope in events:
        if envelope.stream.category == ORDER_CATEGORY:
            yield envelope, order_codec.decode(envelope)
