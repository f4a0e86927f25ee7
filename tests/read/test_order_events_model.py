"""`order_events`: every event as it is sent, beside what it is found by."""

from hypothesis import given, settings

from contexts.orders.events import OrderPlaced
from contexts.orders.read.columns import order_key
from contexts.orders.read.order_events import (
    ORDER_EVENTS,
    UNKNOWN_CUSTOMER,
    order_customers,
    order_events,
)
from contexts.orders.schemas import order_codec
from contexts.orders.wire.events import recorded_event
from eventcore.messages import EventEnvelope
from orderes.events.v1 import events_pb2
from tests.orders.examples import ORDER_ID, PAID_ORDER, PLACED, SHIPPED_ORDER
from tests.read.logs import logs
from tests.read.models import Model
from tests.support.envelopes import an_id
from tests.support.order_log import a_log


def naive_customers(log: list[EventEnvelope]) -> dict[str, str]:
    """Whose each order is."""
    placings = [(envelope.stream.key, order_codec.decode(envelope)) for envelope in log]
    return {
        order_id: event.customer_id
        for order_id, event in placings
        if isinstance(event, OrderPlaced)
    }


@settings(deadline=None, max_examples=25)
@given(logs())
def test_every_event_has_a_row_and_no_other_has(log: list[EventEnvelope]) -> None:
    rows = Model(ORDER_EVENTS).apply(log).rows(order_events)
    customers = naive_customers(log)
    assert [
        (
            row["position"],
            row["order_id"],
            row["version"],
            row["customer_id"],
            row["type"],
            row["record_time"],
        )
        for row in rows.values()
    ] == [
        (
            envelope.position,
            order_key(envelope.stream.key),
            envelope.stream_version,
            customers[envelope.stream.key],
            envelope.type,
            envelope.record_time,
        )
        for envelope in log
    ]


@settings(deadline=None, max_examples=25)
@given(logs())
def test_every_event_is_ready_to_send(log: list[EventEnvelope]) -> None:
    rows = Model(ORDER_EVENTS).apply(log).rows(order_events)
    for envelope in log:
        answer = rows[(envelope.position,)]["answer"]
        assert events_pb2.RecordedEvent.FromString(answer) == recorded_event(
            envelope, order_codec.decode(envelope)
        )


@settings(deadline=None, max_examples=25)
@given(logs())
def test_it_knows_whose_every_order_is(log: list[EventEnvelope]) -> None:
    rows = Model(ORDER_EVENTS).apply(log).rows(order_customers)
    assert {order: row["customer_id"] for (order,), row in rows.items()} == {
        order_key(order_id): customer
        for order_id, customer in naive_customers(log).items()
    }


# What is left out of the log by an operator


def test_without_its_placing_an_order_goes_on_with_an_unknown_customer() -> None:
    other = an_id()
    log = a_log([(ORDER_ID, e) for e in PAID_ORDER] + [(other, PLACED)])
    for cut in ([log[1:]], [[event] for event in log[1:]]):
        rows = Model(ORDER_EVENTS).apply(*cut).rows(order_events)
        customers = [row["customer_id"] for row in rows.values()]
        assert customers == [UNKNOWN_CUSTOMER] * 3 + ["customer-1"]
        assert [row["version"] for row in rows.values()] == [2, 3, 4, 1]


def test_any_other_event_that_is_left_out_is_only_not_listed() -> None:
    log = a_log([(ORDER_ID, event) for event in SHIPPED_ORDER])
    rows = Model(ORDER_EVENTS).apply([*log[:2], *log[3:]]).rows(order_events)
    assert [row["version"] for row in rows.values()] == [1, 2, 4, 5]
