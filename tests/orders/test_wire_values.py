"""Orders, events and times on the wire."""

from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import ORDER_CATEGORY, CancelReason, OrderEvent
from contexts.orders.schemas import order_codec
from contexts.orders.view import OrderState, OrderView, PaymentState, fold_view
from contexts.orders.wire.answers import event_to_answer
from contexts.orders.wire.values import (
    cancel_reason_from_proto,
    instant_from_timestamp,
    order_from_proto,
    order_to_proto,
    recorded_event,
    state_from_proto,
    state_to_proto,
    timestamp,
)
from eventcore.messages import EventEnvelope, StreamId, Trace
from orderes.events.v1 import events_pb2
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1 import order_pb2
from tests.orders.examples import (
    CANCELLED_ORDER,
    EVERY_EVENT,
    ORDER_ID,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
)
from tests.orders.histories import views

FIRST_INSTANT = -62_135_596_800_000_000
LAST_INSTANT = 253_402_300_799_999_999
"""Of the years 1 and 9999, between which a Timestamp is valid."""


def stored(value: Any) -> Any:
    """A value as dicts and lists."""
    return msgspec.json.decode(msgspec.json.encode(value))


def plain(message: Any) -> Any:
    """A message as dicts and lists, with its 64-bit integers as integers and codes by name."""
    return _numbers(
        MessageToDict(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    )


def _numbers(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: int(item) if key in {"minor_units", "version"} else _numbers(item)
                for key, item in value.items()
            }
        case list():
            return [_numbers(item) for item in value]
        case str():
            return value.removeprefix("CANCEL_REASON_")
        case _:
            return value


@given(st.integers(FIRST_INSTANT, LAST_INSTANT))
def test_instants_keep_every_microsecond(instant: int) -> None:
    message = timestamp(instant)
    assert message.ToMicroseconds() == instant
    assert 0 <= message.nanos < 1_000_000_000
    assert instant_from_timestamp(message) == instant


@pytest.mark.parametrize(
    ("seconds", "nanos", "instant"),
    [(0, 999, 0), (0, 1000, 1), (1, 999_999_999, 1_999_999), (-1, 1999, -999_999)],
)
def test_what_is_finer_than_a_microsecond_is_cut_off(
    seconds: int, nanos: int, instant: int
) -> None:
    assert instant_from_timestamp(Timestamp(seconds=seconds, nanos=nanos)) == instant


@settings(deadline=None)
@given(views())
def test_an_order_survives_the_wire(view: OrderView) -> None:
    sent = order_to_proto(view).SerializeToString()
    assert order_from_proto(order_pb2.Order.FromString(sent)) == view


@pytest.mark.parametrize("events", [SHIPPED_ORDER, REFUNDED_ORDER, CANCELLED_ORDER])
def test_the_end_of_an_order_survives_the_wire(events: tuple[OrderEvent, ...]) -> None:
    history = ((event, number, number**2) for number, event in enumerate(events, 1))
    view = fold_view(ORDER_ID, history)
    assert view is not None
    sent = order_to_proto(view).SerializeToString()
    assert order_from_proto(order_pb2.Order.FromString(sent)) == view


@settings(deadline=None)
@given(views())
def test_an_order_on_the_wire_says_what_the_view_says(view: OrderView) -> None:
    message = order_to_proto(view)
    names = plain(message)
    for field in ("lines", "total", "amount_paid", "amount_refunded"):
        assert names[field] == stored(getattr(view, field)), field
    for field in ("order_id", "customer_id", "currency_code", "version"):
        assert names[field] == getattr(view, field)
    assert names["state"] == f"ORDER_STATE_{view.state.value}"
    assert names["payment_state"] == f"PAYMENT_STATE_{view.payment_state.value}"
    assert message.position == view.position
    assert message.cancel_reason == view.cancel_reason
    assert names["cancel_reason_code"] == (
        view.cancel_reason_code.value if view.cancel_reason_code else "UNSPECIFIED"
    )
    assert message.place_time.ToMicroseconds() == view.place_time
    assert message.update_time.ToMicroseconds() == view.update_time
    assert [payment.payment_id for payment in message.payments] == [
        payment.payment_id for payment in view.payments
    ]
    assert message.HasField("shipment") == (view.shipment is not None)


def test_the_states_are_those_of_the_contract() -> None:
    for state in OrderState:
        assert state_from_proto(state_to_proto(state)) is state
    assert {state_to_proto(state) for state in OrderState} == {
        *order_pb2.OrderState.values()
    } - {order_pb2.ORDER_STATE_UNSPECIFIED}
    assert {f"PAYMENT_STATE_{state.value}" for state in PaymentState} == {
        *order_pb2.PaymentState.keys()
    } - {"PAYMENT_STATE_UNSPECIFIED"}
    assert state_from_proto(0) is None
    assert state_from_proto(99) is None


def test_the_codes_of_cancellations_are_those_of_the_contract() -> None:
    names = {f"CANCEL_REASON_{reason.value}" for reason in CancelReason}
    for contract in (order_pb2.CancelReason, events_pb2.CancelReason):
        assert {*contract.keys()} - {"CANCEL_REASON_UNSPECIFIED"} == names
    of_events: list[tuple[str, int]] = [*events_pb2.CancelReason.items()]
    assert of_events == [*order_pb2.CancelReason.items()]
    for number in order_pb2.CancelReason.values():
        reason = cancel_reason_from_proto(number)
        assert (reason is None) == (number == order_pb2.CANCEL_REASON_UNSPECIFIED)
    assert cancel_reason_from_proto(99) is None


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
    message = RecordedEvent.FromString(event_to_answer(stored))
    assert message.schema_version == 2
    cancelled = message.order_cancelled
    assert (cancelled.reason, cancelled.refund_due.minor_units) == ("late", 1)
    assert cancelled.reason_code == events_pb2.CANCEL_REASON_OTHER


@pytest.mark.parametrize("event", EVERY_EVENT)
def test_an_event_is_listed_with_its_envelope_and_all_that_it_holds(
    event: OrderEvent,
) -> None:
    event_type, schema_version, payload = order_codec.encode(event)
    message = recorded_event(
        EventEnvelope(
            position=7,
            event_id="0190a6b2-7c1e-7d3f-8a4b-000000000002",
            stream=StreamId(ORDER_CATEGORY, ORDER_ID),
            stream_version=3,
            type=event_type,
            schema_version=schema_version,
            record_time=1_790_000_000_000_001,
            payload=payload,
            trace=Trace(
                correlation_id="flow-1",
                causation_id="command-1",
                actor="somebody",
                traceparent="00-1-2-01",
            ),
        ),
        event,
    )
    field = message.WhichOneof("payload")
    assert field is not None
    assert field.replace("_", "") == event_type.lower()
    assert plain(getattr(message, field)) == stored(event)
    message.ClearField(field)
    assert message == RecordedEvent(
        event_id="0190a6b2-7c1e-7d3f-8a4b-000000000002",
        type=event_type,
        schema_version=schema_version,
        order_id=ORDER_ID,
        order_version=3,
        position=7,
        record_time=Timestamp(seconds=1_790_000_000, nanos=1000),
        correlation_id="flow-1",
        causation_id="command-1",
        actor="somebody",
        traceparent="00-1-2-01",
    )
