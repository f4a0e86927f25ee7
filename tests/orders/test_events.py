"""The storage format of the events: it never changes for a version that was ever written."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import (
    ORDER_CATEGORY,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
)
from contexts.orders.schemas import order_codec
from eventcore.messages import EventEnvelope, StreamId, Trace
from tests.orders.examples import (
    APPLES,
    CANCELLED,
    DELIVERED,
    EVERY_EVENT,
    FIRST_PAYMENT,
    ORDER_ID,
    PAID,
    PLACED,
    REFUND,
    SHIPPED,
)

_APPLES = (
    '{"product_id":"apples","quantity":2,'
    '"unit_price":{"currency_code":"EUR","minor_units":500}}'
)
_BREAD = (
    '{"product_id":"bread","quantity":1,'
    '"unit_price":{"currency_code":"EUR","minor_units":999}}'
)

GOLDEN: list[tuple[OrderEvent, str, int, str]] = [
    (
        PLACED,
        "OrderPlaced",
        1,
        (
            '{"customer_id":"customer-1","currency_code":"EUR",'
            f'"lines":[{_APPLES},{_BREAD}]}}'
        ),
    ),
    (OrderLineAdded(line=APPLES), "OrderLineAdded", 1, f'{{"line":{_APPLES}}}'),
    (
        OrderLineRemoved(product_id="apples"),
        "OrderLineRemoved",
        1,
        '{"product_id":"apples"}',
    ),
    (
        OrderLineQuantityChanged(product_id="apples", old_quantity=2, new_quantity=3),
        "OrderLineQuantityChanged",
        1,
        '{"product_id":"apples","old_quantity":2,"new_quantity":3}',
    ),
    (
        FIRST_PAYMENT,
        "PaymentReceived",
        1,
        (
            '{"payment_id":"payment-1",'
            '"amount":{"currency_code":"EUR","minor_units":1000}}'
        ),
    ),
    (
        PAID,
        "OrderPaid",
        1,
        '{"amount_paid":{"currency_code":"EUR","minor_units":1999}}',
    ),
    (SHIPPED, "OrderShipped", 1, '{"carrier":"post","tracking_number":"T-1"}'),
    (DELIVERED, "OrderDelivered", 1, "{}"),
    (
        CANCELLED,
        "OrderCancelled",
        1,
        (
            '{"reason":"changed my mind",'
            '"refund_due":{"currency_code":"EUR","minor_units":1000}}'
        ),
    ),
    (
        REFUND,
        "PaymentRefunded",
        1,
        (
            '{"payment_id":"payment-1","refund_id":"refund-1",'
            '"amount":{"currency_code":"EUR","minor_units":400}}'
        ),
    ),
]


def envelope(event_type: str, schema_version: int, payload: str) -> EventEnvelope:
    return EventEnvelope(
        position=1,
        event_id="0190a6b2-7c1e-7d3f-8a4b-000000000001",
        stream=StreamId(ORDER_CATEGORY, ORDER_ID),
        stream_version=1,
        type=event_type,
        schema_version=schema_version,
        record_time=0,
        payload=payload,
        trace=Trace(correlation_id="flow-1"),
    )


@pytest.mark.parametrize(("event", "event_type", "schema_version", "payload"), GOLDEN)
def test_the_storage_format_is_frozen(
    event: OrderEvent, event_type: str, schema_version: int, payload: str
) -> None:
    assert order_codec.encode(event) == (event_type, schema_version, payload)
    assert order_codec.decode(envelope(event_type, schema_version, payload)) == event


def test_every_event_has_a_golden_form() -> None:
    assert {type(event) for event, *_ in GOLDEN} == set(get_args(OrderEvent))
    assert [event for event, *_ in GOLDEN] == list(EVERY_EVENT)


@settings(deadline=None)
@given(st.one_of([st.from_type(event_class) for event_class in get_args(OrderEvent)]))
def test_every_event_survives_being_stored(event: OrderEvent) -> None:
    assert order_codec.decode(envelope(*order_codec.encode(event))) == event
