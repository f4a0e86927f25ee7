"""Which version of each event this code writes: the registry of the context's codec."""

from typing import get_args

from contexts.orders.events import OrderEvent
from eventcore.codec import EventCodec, EventSchema

order_codec: EventCodec[OrderEvent] = EventCodec(
    EventSchema(event_class) for event_class in get_args(OrderEvent)
)
