"""Which version of each event this code writes, and which it reads: the codec of the context."""

from contexts.orders.events import (
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.upcasters import order_cancelled_to_2
from eventcore.codec import EventCodec, EventSchema

order_codec: EventCodec[OrderEvent] = EventCodec(
    [
        EventSchema(OrderPlaced),
        EventSchema(OrderLineAdded),
        EventSchema(OrderLineRemoved),
        EventSchema(OrderLineQuantityChanged),
        EventSchema(PaymentReceived),
        EventSchema(OrderPaid),
        EventSchema(OrderShipped),
        EventSchema(OrderDelivered),
        EventSchema(
            OrderCancelled, schema_version=2, upcasters={1: order_cancelled_to_2}
        ),
        EventSchema(PaymentRefunded),
    ]
)
