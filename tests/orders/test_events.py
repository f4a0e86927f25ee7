"""The storage format of the events: it never changes for a version that was ever written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import ORDER_CATEGORY, CancelReason, OrderEvent
from contexts.orders.schemas import order_codec
from eventcore.messages import EventEnvelope, StreamId, Trace
from tests.orders.examples import CANCELLED, EVERY_EVENT, ORDER_ID
from tests.support.fixtures import GOLDEN_EVENTS

OLD: Mapping[tuple[str, int], OrderEvent] = {
    ("OrderCancelled", 1): replace(CANCELLED, reason_code=CancelReason.OTHER),
}
"""What the golden payloads of older versions are in the newest form."""

NEWEST: Mapping[tuple[str, int], OrderEvent] = {
    order_codec.encode(event)[:2]: event for event in EVERY_EVENT
}
GOLDEN = {**OLD, **NEWEST}


def golden_payload(event_type: str, schema_version: int) -> str:
    file = GOLDEN_EVENTS / f"{event_type}.v{schema_version}.json"
    return file.read_text().removesuffix("\n")


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


@pytest.mark.parametrize(("event_type", "schema_version"), NEWEST)
def test_a_payload_does_not_change_without_a_new_version(
    event_type: str, schema_version: int
) -> None:
    event = NEWEST[event_type, schema_version]
    golden = golden_payload(event_type, schema_version)
    assert order_codec.encode(event) == (event_type, schema_version, golden)


@pytest.mark.parametrize(("event_type", "schema_version"), GOLDEN)
def test_every_version_ever_written_is_read_as_the_newest(
    event_type: str, schema_version: int
) -> None:
    stored = envelope(
        event_type, schema_version, golden_payload(event_type, schema_version)
    )
    assert order_codec.decode(stored) == GOLDEN[event_type, schema_version]


def test_the_codes_of_a_cancellation_are_stored_as_ever() -> None:
    """A golden payload has but one of them. A new code is added here; none is renamed."""
    assert {reason.value for reason in CancelReason} == {
        "CUSTOMER_REQUEST",
        "OUT_OF_STOCK",
        "PAYMENT_FAILED",
        "FRAUD",
        "OTHER",
    }


def test_every_version_that_is_read_has_a_golden_payload_and_every_payload_a_reader() -> (
    None
):
    files = {file.name for file in GOLDEN_EVENTS.iterdir()}
    assert files == {
        f"{event_type}.v{version}.json" for event_type, version in order_codec.versions
    }
    assert set(GOLDEN) == order_codec.versions
    assert {type(event) for event in EVERY_EVENT} == set(get_args(OrderEvent))


@settings(deadline=None)
@given(st.one_of([st.from_type(event_class) for event_class in get_args(OrderEvent)]))
def test_every_event_survives_being_stored(event: OrderEvent) -> None:
    assert order_codec.decode(envelope(*order_codec.encode(event))) == event
