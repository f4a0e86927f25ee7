"""The read model `order_events`: the audit trail, each event of an order as it is sent."""

from collections.abc import Sequence

from sqlalchemy import Table

from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.read.tables import order_events, order_key
from contexts.orders.wire.answers import event_to_answer
from eventcore.messages import EventEnvelope
from eventcore.read_store import ReadModelTables

ORDER_EVENTS_PROJECTION = "order_events"


class OrderEventsProjection:
    """Keeps one row for each event."""

    @property
    def name(self) -> str:
        """Names its checkpoint."""
        return ORDER_EVENTS_PROJECTION

    @property
    def tables(self) -> Sequence[Table]:
        """One row for each event."""
        return (order_events,)

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        """Adds the events of orders."""
        tables.write(
            order_events,
            [
                {
                    "position": envelope.position,
                    "order_id": order_key(envelope.stream.key),
                    "version": envelope.stream_version,
                    "type": envelope.type,
                    "record_time": envelope.record_time,
                    "answer": event_to_answer(envelope),
                }
                for envelope in events
                if envelope.stream.category == ORDER_CATEGORY
            ],
        )
