"""Events of orders on the wire, and back."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings

from contexts.orders.events import ORDER_CATEGORY, OrderEvent
from contexts.orders.schemas import order_codec
from contexts.orders.wire.events import (
    PastEvent,
    event_from_answer,
    event_to_answer,
    recorded_event,
)
from eventcore.messages import EventEnvelope, Instant, StreamId, Trace
from orderes.events.v1 import events_pb2
from orderes.events.v1.events_pb2 import RecordedEvent
from tests.orders.examples import EVERY_EVENT, ORDER_ID
from tests.orders.histories import histories
from tests.orders.plain import plain, stored


def an_envelope(event: OrderEvent, **changes: Any) -> EventEnvelope:
    event_type, schema_version, payload = order_codec.encode(event)
    values: dict[str, Any] = {
        "position": 7,
        "event_id": "0190a6b2-7c1e-7d3f-8a4b-000000000002",
        "stream": StreamId(ORDER_CATEGORY, ORDER_ID),
        "stream_version": 3,
        "type": event_type,
        "schema_version": schema_version,
        "record_time": 1_790_000_000_000_001,
        "payload": payload,
        "trace": Trace(
            correlation_id="flow-1",
            causation_id="command-1",
            actor="somebody",
            traceparent="00-1-2-01",
        ),
    }
    return EventEnvelope(**{**values, **changes})


def test_an_event_of_an_older_version_is_listed_as_one_of_the_newest() -> None:
    stored = EventEnvelope(
        position=7,
        event_id="0190a6b2-7c1e-7d3f-8a4b-000000000002",
        stream=StreamId(ORDER_CATEGORY, ORDER_ID),
        stream_version=3,
        type="OrderCancelled",
        schema_version=1,
        record_time=1,
        payload=(
            '{"reason":"late","refund_due":{"currency_code":"EUR","minor_units":1}}'
        ),
        trace=Trace(correlation_id="flow-1"),
    )
    message = RecordedEvent.FromString(
        event_to_answer(stored, order_codec.decode(stored))
    )
    assert message.schema_version == 2
    cancelled = message.order_cancelled
    assert (cancelled.reason, cancelled.refund_due.minor_units) == ("late", 1)
    assert cancelled.reason_code == events_pb2.CANCEL_REASON_OTHER


@pytest.mark.parametrize("event", EVERY_EVENT)
def test_an_event_is_listed_with_its_envelope_and_all_that_it_holds(
    event: OrderEvent,
) -> None:
    envelope = an_envelope(event)
    message = recorded_event(envelope, event)
    field = message.WhichOneof("payload")
    assert field is not None
    assert field.replace("_", "") == envelope.type.lower()
    assert plain(getattr(message, field)) == stored(event)
    message.ClearField(field)
    assert message == RecordedEvent(
        event_id="0190a6b2-7c1e-7d3f-8a4b-000000000002",
        type=envelope.type,
        schema_version=envelope.schema_version,
        order_id=ORDER_ID,
        order_version=3,
        position=7,
        record_time=Timestamp(seconds=1_790_000_000, nanos=1000),
        correlation_id="flow-1",
        causation_id="command-1",
        actor="somebody",
        traceparent="00-1-2-01",
    )


@pytest.mark.parametrize("event", EVERY_EVENT)
def test_an_event_survives_the_wire(event: OrderEvent) -> None:
    envelope = an_envelope(event)
    assert event_from_answer(event_to_answer(envelope, event)) == PastEvent(
        event=event, version=3, position=7, record_time=1_790_000_000_000_001
    )


@settings(deadline=None, max_examples=50)
@given(histories())
def test_a_whole_life_survives_the_wire(
    history: list[tuple[OrderEvent, int, Instant]],
) -> None:
    for version, (event, position, record_time) in enumerate(history, start=1):
        envelope = an_envelope(
            event, stream_version=version, position=position, record_time=record_time
        )
        past = event_from_answer(event_to_answer(envelope, event))
        assert (past.event, past.version) == (event, version)
        assert (past.position, past.record_time) == (position, record_time)


def test_every_payload_of_the_contract_can_be_read_back() -> None:
    """What is sent is what time travel folds."""
    payload = RecordedEvent.DESCRIPTOR.oneofs_by_name["payload"]
    sent = {
        recorded_event(an_envelope(event), event).WhichOneof("payload")
        for event in EVERY_EVENT
    }
    assert sent == {field.name for field in payload.fields}
