"""Logs of orders, written as a write server would write them."""

from collections import Counter
from collections.abc import Sequence

from contexts.orders.events import ORDER_CATEGORY, OrderEvent
from contexts.orders.schemas import order_codec
from eventcore.event_store import StreamAppend
from eventcore.log import place
from eventcore.messages import EventEnvelope, Instant, NewEvent, StreamId, Trace
from eventcore.write_store import WriteStore
from tests.support.envelopes import an_id

START: Instant = 1_750_000_000_000_000
"""When the first event was stored, unless a test says otherwise."""
SECOND = 1_000_000


def new_event(event: OrderEvent) -> NewEvent:
    """The event, encoded."""
    event_type, schema_version, payload = order_codec.encode(event)
    return NewEvent(
        event_id=an_id(),
        type=event_type,
        schema_version=schema_version,
        payload=payload,
        trace=Trace(correlation_id="flow", causation_id="command"),
    )


def an_order_append(
    order_id: str, *events: OrderEvent, expected_version: int = 0
) -> StreamAppend:
    """Events for an order."""
    return StreamAppend(
        stream=StreamId(ORDER_CATEGORY, order_id),
        expected_version=expected_version,
        events=[new_event(event) for event in events],
    )


def a_log(appends: Sequence[tuple[str, OrderEvent]]) -> list[EventEnvelope]:
    """A log without a store: each event a second after the one before it."""
    log: list[EventEnvelope] = []
    versions: Counter[str] = Counter()
    for order_id, event in appends:
        append = an_order_append(order_id, event, expected_version=versions[order_id])
        record_time = START + len(log) * SECOND
        log.extend(place([append], after=len(log), record_time=record_time))
        versions[order_id] += 1
    return log


class OrderLog:
    """The log of a store: appends to it, a second later each time."""

    def __init__(self, store: WriteStore) -> None:
        self._store = store
        self._versions: Counter[str] = Counter()
        self.now = START

    def append(self, order_id: str, *events: OrderEvent) -> list[EventEnvelope]:
        """Appends events of an order in one transaction."""
        return self.append_raw(
            an_order_append(
                order_id, *events, expected_version=self._versions[order_id]
            )
        )

    def append_orders(self, count: int, event: OrderEvent) -> list[EventEnvelope]:
        """Appends the first event of so many orders, in one transaction."""
        return self._append([an_order_append(an_id(), event) for _ in range(count)])

    def append_raw(self, append: StreamAppend) -> list[EventEnvelope]:
        """Appends whatever it is."""
        return self._append([append])

    def _append(self, appends: Sequence[StreamAppend]) -> list[EventEnvelope]:
        with self._store.begin() as unit:
            envelopes = unit.events.append(appends, now=self.now)
            unit.outbox.add([envelope.position for envelope in envelopes])
            unit.commit()
        for append in appends:
            self._versions[append.stream.key] += len(append.events)
        self.now += SECOND
        return envelopes
