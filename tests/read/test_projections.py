"""What holds for every read model: it is a pure fold of the log, taken in by batches."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import OrderEvent
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.schemas import order_codec
from eventcore.errors import MalformedEvent, UnknownEvent
from eventcore.messages import EventEnvelope
from eventcore.projection import Projection
from tests.orders.examples import (
    DELIVERED,
    DELIVERED_ORDER,
    EVERY_EVENT,
    ORDER_ID,
    PAID_ORDER,
    PLACED,
)
from tests.read.logs import cuts, logs
from tests.read.models import Model
from tests.support.envelopes import an_id
from tests.support.order_log import a_log

PROJECTIONS = [pytest.param(one, id=one.name) for one in ORDER_PROJECTIONS]

CALLS = {
    "orders": {
        "fetch orders": 1,
        "write orders": 1,
        "delete order_products": 1,
        "write order_products": 1,
    },
    "order_events": {
        "fetch order_events_customers": 1,
        "write order_events_customers": 1,
        "write order_events": 1,
    },
    "customer_summary": {
        "write customer_summary_orders": 1,
        "fetch customer_summary_orders": 1,
        "fetch customer_summary": 1,
        "fetch customer_payments": 1,
        "write customer_summary": 1,
        "write customer_payments": 1,
    },
    "product_sales": {
        "fetch product_sales_open_orders": 1,
        "write product_sales_open_orders": 1,
        "delete product_sales_open_orders": 1,
        "fetch product_sales": 1,
        "write product_sales": 1,
    },
}
"""What a batch asks of the tables, whatever is in it."""


@pytest.mark.parametrize("projection", PROJECTIONS)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_rows_do_not_depend_on_how_the_log_is_cut(
    projection: Projection, data: st.DataObject
) -> None:
    log = data.draw(logs())
    in_batches = Model(projection).apply(*data.draw(cuts(log)))
    at_once = Model(projection).apply(log)
    one_by_one = Model(projection).apply(*([event] for event in log))
    assert in_batches.everything() == at_once.everything() == one_by_one.everything()


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("orders", [0, 1, 200])
def test_a_batch_costs_as_many_calls_however_long_it_is(
    projection: Projection, orders: int
) -> None:
    order_ids = [an_id() for _ in range(orders)]
    log = a_log([(order_id, e) for order_id in order_ids for e in DELIVERED_ORDER])
    assert Model(projection).apply(log).calls == CALLS[projection.name]


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_events_of_other_aggregates_are_none_of_its_business(
    projection: Projection,
) -> None:
    (event,) = a_log([(ORDER_ID, PLACED)])
    other = replace(
        event, stream=event.stream._replace(category="invoice"), type="InvoiceSent"
    )
    assert not any(Model(projection).apply([other]).everything().values())


def applied_behind(
    projection: Projection, event: EventEnvelope, before: list[EventEnvelope]
) -> None:
    """Applies an event behind others, in a batch of its own and in one with them."""
    model = Model(projection).apply(before)
    held = model.everything()
    try:
        model.apply([event])
    finally:
        assert model.everything() == held
        Model(projection).apply([*before, event])


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_an_event_of_an_unknown_type_stops_it(projection: Projection) -> None:
    *before, last = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    with pytest.raises(UnknownEvent) as caught:
        applied_behind(projection, replace(last, type="OrderEaten"), before)
    assert caught.value.position == 4


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: type(event).__name__)
def test_an_event_of_a_newer_version_stops_it_also_if_it_has_no_use_for_it(
    projection: Projection, event: OrderEvent
) -> None:
    """What it means now, this code cannot know: it may be something that counts."""
    *before, last = a_log([(ORDER_ID, PLACED), (ORDER_ID, event)])
    newest = order_codec.schema_version_of(event)
    with pytest.raises(UnknownEvent) as caught:
        applied_behind(projection, replace(last, schema_version=newest + 1), before)
    assert caught.value.event_id == last.event_id


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize(
    "event",
    [event for event in EVERY_EVENT if event != DELIVERED],
    ids=lambda event: type(event).__name__,
)
def test_an_event_whose_payload_is_not_of_its_schema_stops_it(
    projection: Projection, event: OrderEvent
) -> None:
    *before, last = a_log([(ORDER_ID, PLACED), (ORDER_ID, event)])
    with pytest.raises(MalformedEvent) as caught:
        applied_behind(projection, replace(last, payload="{}"), before)
    assert caught.value.event_id == last.event_id
