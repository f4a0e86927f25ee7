"""Orders and times on the wire."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import CancelReason, OrderEvent
from contexts.orders.view import OrderState, OrderView, PaymentState, fold_view
from contexts.orders.wire.values import (
    cancel_reason_from_proto,
    instant_from_timestamp,
    order_from_proto,
    order_to_proto,
    state_from_proto,
    state_to_proto,
    timestamp,
)
from orderes.events.v1 import events_pb2
from orderes.v1 import order_pb2
from tests.orders.examples import (
    CANCELLED_ORDER,
    ORDER_ID,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
)
from tests.orders.histories import views
from tests.orders.plain import plain, stored

FIRST_INSTANT = -62_135_596_800_000_000
LAST_INSTANT = 253_402_300_799_999_999
"""Of the years 1 and 9999, between which a Timestamp is valid."""


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
